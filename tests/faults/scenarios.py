"""Commands that are struck while they work, and what must be true when they are given again.

To add one: a Scenario with the words, what to prepare, and what must hold at the end.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skinnybox import run
from tests.faults.conftest import CREATE, IMPORT, KEPT, Place, no_bug
from tests.faults.injector import Deed, Ended, Fault, struck
from tests.faults.leftovers import unexplained

CONFLICT, NOT_FOUND = 4, 3


def nothing(place: Place) -> None:
    """What a scenario prepares that needs no more than the two kept machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`prepare` before the blow; `wanted` asserts what must hold once `again` (the same words when None) was
    given after it. `done` are exit codes by which the second call says that the first had done it all."""

    name: str
    words: tuple[str, ...]
    wanted: Callable[[Place], None]
    prepare: Callable[[Place], None] = nothing
    again: tuple[str, ...] | None = None
    done: tuple[int, ...] = ()
    young: bool = False
    """Whether what it leaves half made goes only when nobody can be at it any more; explained till then."""

    long: bool = False
    """Whether a blow takes so long that none is for the core."""

    def placed(self, place: Place) -> Place:
        """It as this command is to find it, before anything is prepared."""
        return place

    def given(self, place: Place, fault: Fault | None) -> Ended:
        """Run it in a process of its own, struck."""
        return struck(place.argv(*self.words), watched=place.state, fault=fault)

    def given_again(self, place: Place) -> None:
        said = no_bug(place.cli(*(self.again or self.words)))
        assert said.code in (0, *self.done), said


def withstand(scenario: Scenario, place: Place, fault: Fault) -> Ended:
    """One blow, and all that must hold after it. `place` is a fresh copy."""
    place = scenario.placed(place)
    before = place.kept()
    scenario.prepare(place)
    ended = scenario.given(place, fault)
    if fault.deed is not Deed.KILL:
        assert ended.code != 70 and "Traceback" not in ended.err, (fault, ended)
        if ended.code == 0:
            scenario.wanted(place)
    no_bug(place.cli("list"))
    if fault.deed is Deed.KILL:
        assert no_bug(place.cli("doctor")).code in (0, 1)
    scenario.given_again(place)
    scenario.wanted(place)
    assert place.kept() == before, fault
    left = {place.state / path for path in unexplained(place.state)}
    if scenario.young:
        left -= {
            Path(finding["path"])
            for finding in json.loads(place.ok("repair", "--dry-run", "--format", "json"))
        }
    assert left == set(), (fault, ended.calls[fault.at - 2 : fault.at])
    return ended


def created(*names: str) -> Callable[[Place], None]:
    """The machines are there, whole: their overlays read as untouched."""

    def check(place: Place) -> None:
        assert set(place.names()) == {*names, *KEPT}
        for name in names:
            assert json.loads(place.ok("changes", name, "--format", "json")) == []

    return check


def gone(*names: str) -> Callable[[Place], None]:
    def check(place: Place) -> None:
        assert not set(place.names()) & set(names)

    return check


def make(*names: str) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        place.ok(*CREATE, *names)

    return prepare


def renewed(*names: str) -> Callable[[Place], None]:
    """Reset: an untouched overlay, and a record that is not older than its seed."""

    def check(place: Place) -> None:
        for name in names:
            assert json.loads(place.ok("changes", name, "--format", "json")) == []
            assert json.loads(place.ok("show", name, "--format", "json"))[0]["seed_generation"] >= 2

    return check


def sealed(reference: str) -> Callable[[Place], None]:
    def check(place: Place) -> None:
        place.ok("master", "verify", reference)

    return check


def imported(place: Place) -> None:
    place.ok(*IMPORT)


def unsealed(place: Place) -> None:
    assert "other:1" not in place.ok("master", "list")


def has(**wanted: object) -> Callable[[Place], None]:
    """The machine `one` is as wanted, and its overlay whole."""

    def check(place: Place) -> None:
        (record,) = json.loads(place.ok("show", "one", "--format", "json"))
        assert {key: record[key] for key in wanted} == wanted
        assert json.loads(place.ok("changes", "one", "--format", "json")) == []

    return check


def kept_as_it_is(place: Place) -> None:
    place.ok(*CREATE, "one")
    place.ok("snapshot", "create", "--label", "then", "one")


def as_one_before(place: Place) -> None:
    """A disk of that kind and size was made here, as the templates of the others were."""
    place.ok(*CREATE, "two", "--data", "32M")
    place.ok("delete", "-y", "two")
    place.ok(*CREATE, "one")


def with_data(place: Place) -> None:
    """Other bytes at the end of both disks than its snapshot has there."""
    place.ok(*CREATE, "one", "--data", "32M")
    place.ok("snapshot", "create", "--data", "--label", "then", "one")
    for disk in disks_of(place):
        with disk.open("r+b") as file:
            file.seek(-len(_LATER), 2)
            file.write(_LATER)


_LATER = b"later"


def disks_of(place: Place) -> list[Path]:
    (record,) = json.loads(place.ok("show", "one", "--format", "json"))
    return [place.state / "instances" / record["uuid"] / f"{kind}.img" for kind in ("overlay", "data")]


def put_back_together(place: Place) -> None:
    assert [disk.read_bytes().endswith(_LATER) for disk in disks_of(place)] == [False, False]
    has(reason=None, data=32 << 20)(place)


def with_a_file(place: Place) -> None:
    place.ok(*CREATE, "one")
    (record,) = json.loads(place.ok("show", "one", "--format", "json"))
    disk = place.state / "instances" / record["uuid"] / "overlay.img"
    source = place.folder / "own"
    source.write_text("mine")
    run.run(["debugfs", "-w", "-R", f"write {source} upper/own", disk])


def snapshots(*labels: str) -> Callable[[Place], None]:
    def check(place: Place) -> None:
        found = json.loads(place.ok("snapshot", "list", "one", "--format", "json"))
        assert [snapshot["label"] for snapshot in found] == list(labels)
        assert json.loads(place.ok("changes", "one", "--format", "json")) == []

    return check


def fleet_file(place: Place) -> None:
    defaults = "{master: tiny, overlay: 32M, sparse: true}"
    text = f"version: 1\nfleet: f\ndefaults: {defaults}\nmachines: {{'one': {{}}, 'two': {{}}}}\n"
    (place.folder / "fleet.yaml").write_text(text)


def forgotten(place: Place) -> None:
    """The catalog is lost."""
    (place.state / "state.db").unlink()


SCENARIOS = (
    Scenario(name="create", words=(*CREATE, "one"), wanted=created("one"), done=(CONFLICT,)),
    Scenario(
        name="create-several",
        words=("create", "-m", "tiny", "--overlay", "32M", "many-{1..3}"),
        wanted=created("many-1", "many-2", "many-3"),
        done=(CONFLICT,),
    ),
    Scenario(
        name="delete",
        words=("delete", "-y", "one"),
        prepare=make("one"),
        wanted=gone("one"),
        done=(NOT_FOUND,),
    ),
    Scenario(name="reset", words=("reset", "-y", "one"), prepare=make("one"), wanted=renewed("one")),
    Scenario(name="slim", words=("slim", "one"), prepare=make("one"), wanted=created("one")),
    Scenario(
        name="reset-path",
        words=("reset", "-y", "one", "/own"),
        prepare=with_a_file,
        wanted=created("one"),  # what fails after the disk is in place leaves its seed newer than its record
        done=(NOT_FOUND,),
    ),
    Scenario(
        name="copy",
        words=("copy", "one", "two"),
        prepare=make("one"),
        wanted=created("one", "two"),
        done=(CONFLICT,),
    ),
    Scenario(
        name="rename",
        words=("rename", "one", "other"),
        prepare=make("one"),
        wanted=created("other"),
        done=(NOT_FOUND,),
    ),
    Scenario(name="import", words=IMPORT, wanted=sealed("other:1")),
    Scenario(
        name="remove",
        words=("master", "remove", "other:1"),
        prepare=imported,
        wanted=unsealed,
        done=(NOT_FOUND,),
    ),
    Scenario(
        name="set",
        words=("set", "one", "--memory", "256M"),
        prepare=make("one"),
        wanted=has(memory=256 << 20),
    ),
    Scenario(name="grow", words=("grow", "one", "48M"), prepare=make("one"), wanted=has(overlay=48 << 20)),
    Scenario(
        name="snapshot",
        words=("snapshot", "create", "--label", "now", "one"),
        prepare=make("one"),
        wanted=snapshots("now"),
        done=(CONFLICT,),
    ),
    Scenario(
        name="snapshot-restore",
        words=("snapshot", "restore", "-y", "then", "one"),
        prepare=kept_as_it_is,
        wanted=snapshots("then"),
    ),
    Scenario(
        name="give-data",
        words=("set", "one", "--data", "32M"),
        prepare=as_one_before,
        wanted=has(data=32 << 20, reason=None),
    ),
    Scenario(
        name="snapshot-restore-data",
        words=("snapshot", "restore", "-y", "--with-data", "then", "one"),
        prepare=with_data,
        wanted=put_back_together,
    ),
    Scenario(
        name="snapshot-delete",
        words=("snapshot", "delete", "-y", "then", "one"),
        prepare=kept_as_it_is,
        wanted=snapshots(),
        done=(NOT_FOUND,),
    ),
    Scenario(
        name="apply",
        words=("apply", "-y", "--no-wait", "@/fleet.yaml"),
        prepare=fleet_file,
        wanted=created("one", "two"),
    ),
    Scenario(name="repair", words=("repair", "-y"), prepare=forgotten, wanted=created(), young=True),
)
