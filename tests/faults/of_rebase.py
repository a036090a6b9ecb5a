"""What a rebase keeps, struck like the commands in scenarios.py: kept, put back, given up. By its steps on
the host that machines are for, and by whole commands on the pretending one, where a trial is over at once."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.overlays import inspect
from tests import rebased
from tests.faults.conftest import CREATE, IMPORT, Place
from tests.faults.injector import Ended, Fault, struck
from tests.faults.scenarios import NOT_FOUND, Scenario, disks_of, has, snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven(Scenario):
    """A step without what a whole command does around it: one of those of rebased.py, by its `words`."""

    def given(self, place: Place, fault: Fault | None) -> Ended:
        argv: list[str | Path] = [sys.executable, str(rebased.__file__), place.state, place.host, *self.words]
        return struck(argv, watched=place.state, fault=fault)

    def given_again(self, place: Place) -> None:
        rebased.main(str(place.state), place.host, *self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Scenario):
    """A command with all that it does, its trial too. The fake host's list of machines, killed while it is
    written, leaves a file that goes when nobody can be at it any more."""

    young: bool = True

    def placed(self, place: Place) -> Place:
        host_kind.note(place.state, "fake")
        return replace(place, host="fake")


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


def moved(place: Place) -> None:
    before_it(place)
    place.ok(*REBASE)


def stands(reference: str, *, back: bool = False) -> Callable[[Place], None]:
    """Its record and its disk are of that master, and there is a way back or none. What it had on the other
    one may be kept as well: what was struck on trial has been taken back once."""

    def check(place: Place) -> None:
        (record,) = json.loads(place.ok("show", "one", "--format", "json"))
        assert (record["master"], record["reason"]) == (reference, None)
        master = json.loads(place.ok("master", "show", reference, "--format", "json"))
        base = inspect.read_base(disks_of(place)[0]).get("image") or ""
        assert base.split()[0] in json.dumps(master)
        found = json.loads(place.ok("snapshot", "list", "one", "--format", "json"))
        kept = [snapshot["label"].rpartition("-")[0] for snapshot in found]
        assert kept.count("before-rebase") == back and set(kept) <= {"before-rebase", "after-rebase"}, kept

    return check


REBASE = ("rebase", "one", "--onto", "other:1", "-y")
OF_REBASE = (
    Whole(name="rebase-whole", words=REBASE, prepare=before_it, wanted=stands("other:1", back=True)),
    Whole(
        name="rollback-whole",
        words=("rollback", "one"),
        prepare=moved,
        wanted=stands("tiny:1"),
        done=(NOT_FOUND,),
    ),
    Whole(
        name="commit-whole",
        words=("rebase", "one", "--commit", "-y"),
        prepare=moved,
        wanted=stands("other:1"),
        done=(NOT_FOUND,),
    ),
    Driven(
        name="rebase",
        words=("rebase", "other:1"),
        prepare=before_it,
        wanted=is_on("other:1", "before-rebase-1"),
    ),
    Driven(name="rollback", words=("rollback",), prepare=after_it, wanted=is_on("tiny:1", "after-rebase-2")),
    Driven(name="rebase-commit", words=("commit",), prepare=after_it, wanted=is_on("other:1")),
)
