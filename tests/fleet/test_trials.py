"""Every command, on a machine whose rebase is not decided: what docs/contributing/states.md says of it."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.cli.parser import build_parser
from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from tests.fleet import rebasing
from tests.fleet.conftest import said
from tests.fleet.rebasing import guests, moved
from tests.fleet.test_rebase_do import fleet, two_masters, web
from tests.pages import rows

__all__ = ["fleet", "two_masters", "web"]

PAGE = rows(Path(__file__).parents[2] / "docs" / "contributing" / "states.md", "command")
FILE = (
    "version: 1\nfleet: w\nmachines:\n"
    "  web: {master: 'web:2', overlay: 64M, sparse: true, memory: 256M, cpus: 2}\n"
)

LINES = {
    "start": "start web --timeout 1",
    "stop": "stop web",
    "restart": "restart web --timeout 1",
    "kill": "kill web",
    "wait": "wait web --timeout 1",
    "set, labels, autostart": "set web --cpus 2",
    "set of the seed": "set web --swap 16M",
    "set --data": "set web --data 48M --data-dir /srv",
    "autostart on": "autostart on web",
    "autostart off": "autostart off web",
    "apply": "apply {folder}/fleet.yaml --adopt",
    "reset": "reset web -y",
    "slim": "slim web",
    "copy": "copy web other",
    "promote --dry-run": "promote web other:1 --dry-run",
    "rename": "rename web web-2",
    "move": "move web --to {folder}/elsewhere --without-snapshots",
    "export": "export web {folder}/archive",
    "grow": "grow web 80M",
    "snapshot create": "snapshot create web --label mine",
    "snapshot restore": "snapshot restore of-then web -y",
    "snapshot delete": "snapshot delete of-then web -y",
    "flatten": "flatten web {folder}/flat",
    "seed-disk": "seed-disk web {folder}/seed",
    "changes": "changes web",
    "rebase to the same": "rebase web --onto web:2 --timeout 1",
    "rebase to another": "rebase web --onto web:1 --timeout 1",
    "rebase --commit": "rebase web --commit -y",
    "rollback": "rollback web",
    "delete": "delete web -y --force",
    "repair": "repair -y",
}
ASIDE = {
    "list", "show", "top", "logs", "events", "console", "ssh", "exec", "cp", "forward", "snapshot list",
    "plan", "create", "capacity", "doctor", "serve", "completion", "autostart unit", "jobs list", "jobs show",
    "jobs follow", "jobs cancel", "token create", "token list", "token revoke", "master build",
    "master import", "master list", "master gc", "master verify", "master remove", "master show",
     "master diff", "master disk", "master edit", "layer build", "layer import", "layer list",
     "layer show", "layer verify", "layer remove", "receive", "archive show",
}  # fmt: skip
"""They look, talk with a guest, or are about no machine that there is: they decide nothing."""


def commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[str]:
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for action in below:
        for name, inner in action.choices.items():
            yield from commands(inner, f"{before}{name} ")
    if not below:
        yield before.strip()


def test_no_command_is_forgotten() -> None:
    known = ASIDE | {name for row in PAGE for name in LINES if row[0] == name}
    spoken = {name for name in commands(build_parser()) if any(_is_of(name, each) for each in known)}
    missing = set(commands(build_parser())) - spoken
    assert missing == set() and {row[0] for row in PAGE} == set(LINES)


def _is_of(command: str, row: str) -> bool:
    return row == command or row.startswith((f"{command} ", f"{command},"))


def built(fleet: Fleet, patch: pytest.MonkeyPatch) -> None:
    moved(fleet, "web", Rollout(start=False))


def on_trial(fleet: Fleet, patch: pytest.MonkeyPatch) -> None:
    guests(patch, rebasing.on_new(rebasing.hangs, fleet.masters.find("web:2").images[0].digest))
    moved(fleet, "web", Rollout(wait=False, timeout=600))


def went_off(fleet: Fleet, patch: pytest.MonkeyPatch) -> None:
    on_trial(fleet, patch)
    fleet._host.power_off(fleet.machine("web").instance)


def kept(fleet: Fleet, patch: pytest.MonkeyPatch) -> None:
    moved(fleet, "web")


CONDITIONS: list[Callable[[Fleet, pytest.MonkeyPatch], None]] = [built, on_trial, went_off, kept]


def became(fleet: Fleet, code: int) -> str:
    """What a cell of the page says: how the command ended, and how far the rebase is then."""
    how = {0: "done", 4: "conflict", 5: "refused"}.get(code, f"exit {code}")
    names = [name for name in ("web", "web-2") if name in fleet.names()]
    if not names:
        return f"{how}: gone"
    instance = fleet.machine(names[0]).instance
    if instance.trial is not None:
        return f"{how}: {'kept' if instance.trial.phase == 'passed' else instance.trial.phase}"
    return f"{how}: {'back' if instance.stack.reference == 'web:1' else 'committed'}"


def _disk(
    host: object, machine: object, master: object, sealed: object, wanted: FlatDisk, *_: object
) -> Path:
    wanted.file.touch()
    return wanted.file


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("name", LINES)
def test_what_a_command_does(
    fleet: Fleet,
    web: Instance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    condition: Callable[[Fleet, pytest.MonkeyPatch], None],
) -> None:
    (tmp_path / "fleet.yaml").write_text(FILE)
    monkeypatch.setattr("skinnybox.fleet.flatten.flatten", _disk)  # which boots one
    fleet.overlays.snapshot(["web"], "of-then")
    condition(fleet, monkeypatch)
    shown = said(capsys, *LINES[name].format(folder=tmp_path).split())
    [row] = [row for row in PAGE if row[0] == name]
    assert became(fleet, shown.code) == row[1 + CONDITIONS.index(condition)], shown
