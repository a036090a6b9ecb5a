"""A fleet file, written and changed as its owner would, and what became of it."""

from collections.abc import Sequence
from pathlib import Path

from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.plan.actions import Choices
from skinnybox.fleet.plan.apply import agreed
from skinnybox.fleet.power import Starting
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.operation import UNATTENDED, Operation

HEAD = "version: 1\nfleet: widgets\ndefaults: {master: tiny, overlay: 64M, sparse: true, memory: 256M}\n"
BASIC = HEAD + "machines:\n  web-{1..3}: {state: running}\n  db: {cpus: 2, autostart: true}\n"


class File:
    """A fleet file that is planned and applied."""

    def __init__(self, fleet: Fleet, path: Path) -> None:
        self.fleet = fleet
        self.path = path

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def plan(self, **choices: object) -> list[str]:
        found = self.fleet.files.plan(self.path, Choices(**choices))  # type: ignore[arg-type]
        return [f"{action.verb} {action.name}" for action in found.actions]

    def apply(self, operation: Operation = UNATTENDED, **choices: object) -> Sequence[Outcome[str]]:
        chosen = Choices(**choices)  # type: ignore[arg-type]
        return self.fleet.files.apply(self.path, chosen, Starting(), agreed, operation)


def conditions(fleet: Fleet) -> dict[str, Condition]:
    return {machine.name: machine.condition for machine in fleet.machines()}
