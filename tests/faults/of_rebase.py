"""What a rebase keeps, struck like the commands in scenarios.py: kept, put back, given up."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from tests import rebased
from tests.faults.conftest import CREATE, IMPORT, Place
from tests.faults.injector import Ended, Fault, struck
from tests.faults.scenarios import Scenario, disks_of, has, snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven(Scenario):
    """A step without what a whole command does around it: one of those of rebased.py, by its `words`."""

    def given(self, place: Place, fault: Fault | None) -> Ended:
        argv: list[str | Path] = [sys.executable, str(rebased.__file__), place.state, place.host, *self.words]
        return struck(argv, watched=place.state, fault=fault)

    def given_again(self, place: Place) -> None:
        rebased.main(str(place.state), place.host, *self.words)


def before_it(place: Place) -> None:
    place.ok(*CREATE, "one")
    place.ok(*IMPORT)


def after_it(place: Place) -> None:
    before_it(place)
    with open_fleet(Settings(state=place.state, host=place.host)) as fleet:
        rebased.rebase(fleet, "one", fleet.masters.find("other:1"))


def is_on(reference: str, *labels: str) -> Callable[[Place], None]:
    """With the overlay of that master, and these snapshots."""

    def check(place: Place) -> None:
        has(master=reference, reason=None)(place)
        assert disks_of(place)[0].read_bytes().endswith(rebased.REBASED) is (reference == "other:1")
        snapshots(*labels)(place)

    return check


OF_REBASE = (
    Driven(
        name="rebase",
        words=("rebase", "other:1"),
        prepare=before_it,
        wanted=is_on("other:1", "before-rebase-1"),
    ),
    Driven(name="rollback", words=("rollback",), prepare=after_it, wanted=is_on("tiny:1", "after-rebase-2")),
    Driven(name="rebase-commit", words=("commit",), prepare=after_it, wanted=is_on("other:1")),
)
