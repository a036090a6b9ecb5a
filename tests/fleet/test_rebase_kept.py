"""What a machine was before a rebase: kept, put back, given up; and what is found when that was killed."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, Conflict, NoSpace, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.fleet import rebase_kept
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.issues import Deed
from skinnybox.model import Instance, Master, Swap, TrialPhase
from skinnybox.operation import UNATTENDED
from skinnybox.overlays import inspect, space
from skinnybox.sizes import MIB
from tests.fleet.conftest import HOST_KEYS, SPARSE, open_fake, rewritten, said
from tests.fleet.repairing import found, lose, mended
from tests.fleet.test_data_disk import ends, error_of
from tests.rebased import REBASED, commit, rebase, rollback
from tests.samples import seal

BEFORE = b"of before"


@pytest.fixture
def newer(state: Path, tmp_path: Path) -> Master:
    return seal(state, tmp_path, "next", "1")


@pytest.fixture
def one(fleet: Fleet, state: Path, newer: Master) -> Instance:
    """On `tiny`, with BEFORE at the end of its overlay."""
    (made,) = fleet.create(["one"], "tiny", SPARSE)
    write(overlay(state, made), BEFORE)
    return made


def overlay(state: Path, instance: Instance) -> Path:
    return state / "instances" / str(instance.uuid) / "overlay.img"


def image(state: Path, instance: Instance, label: str) -> Path:
    return overlay(state, instance).with_name("snapshots") / f"{label}.img"


def write(disk: Path, text: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(-len(text), 2)
        file.write(text)


def labels(fleet: Fleet) -> list[str]:
    return [kept.label for _, kept in fleet.overlays.snapshots(["one"])]


def is_whole(fleet: Fleet, state: Path) -> bool:
    """Whether record, row and overlay speak of one master, and it starts."""
    instance = fleet.machine("one").instance
    base = inspect.read_base(overlay(state, instance)).get("image")
    assert list(fleet._host.records()) == [instance]
    return base is not None and base.split()[0] == instance.stack.images[0]


def test_it_is_put_back_without_being_copied(fleet: Fleet, state: Path, one: Instance, newer: Master) -> None:
    inode = overlay(state, one).stat().st_ino
    rebased = rebase(fleet, "one", newer)
    assert ends(overlay(state, one), REBASED) and labels(fleet) == ["before-rebase-1"]
    assert rebased.stack.reference == "next:1" and is_whole(fleet, state)
    assert rollback(fleet, "one") == (one, "after-rebase-2")
    assert overlay(state, one).stat().st_ino == inode and ends(overlay(state, one), BEFORE)
    assert labels(fleet) == ["after-rebase-2"] and ends(image(state, one, "after-rebase-2"), REBASED)
    assert is_whole(fleet, state) and fleet.machine("one").instance == one
    with pytest.raises(NotFound):
        rollback(fleet, "one")


def test_what_is_said_of_it_meanwhile_stays(fleet: Fleet, one: Instance, newer: Master) -> None:
    rebase(fleet, "one", newer)
    fleet.set(["one"], {"memory": 512 * MIB, "labels": (("a", "b"),)})
    restored, _ = rollback(fleet, "one")
    assert restored == replace(one, memory=512 * MIB, labels=(("a", "b"),))


def test_another_seed_is_applied_again(fleet: Fleet, state: Path, one: Instance, newer: Master) -> None:
    rebased = rebase(fleet, "one", newer)
    seed = replace(rebased.seed, hostname="another", generation=7)
    rewritten(fleet, replace(rebased, seed=seed))
    restored, aside = rollback(fleet, "one")
    assert restored.seed == replace(seed, generation=8)
    assert inspect.read_generation(overlay(state, one)) == 8 and ends(overlay(state, one), BEFORE)
    assert labels(fleet) == [aside] and is_whole(fleet, state)


def test_what_its_old_master_does_not_know_is_as_it_was(
    fleet: Fleet, state: Path, newer: Master, tmp_path: Path
) -> None:
    """Its guest would refuse all of a seed with such a word, and not start."""
    seal(state, tmp_path, "old", "1", protocol=2)
    (one,) = fleet.create(["one"], "old", SPARSE)
    rebased = rebase(fleet, "one", newer)
    swapped = replace(rebased, swap=Swap(size=16 * MIB), seed=replace(rebased.seed, generation=2))
    rewritten(fleet, swapped)
    assert rollback(fleet, "one")[0] == one


def test_a_data_disk_of_later_that_its_old_master_does_not_know_is_not_left_behind(
    fleet: Fleet, state: Path, newer: Master, tmp_path: Path
) -> None:
    seal(state, tmp_path, "old", "1", protocol=2)
    fleet.create(["one"], "old", SPARSE)
    rebase(fleet, "one", newer)
    assert fleet.overlays.give_data(["one"], 48 * MIB, ["/srv"])[0].ok
    now = fleet.machine("one").instance
    with pytest.raises(Unsupported, match="does not know data"):
        rollback(fleet, "one")
    assert fleet.machine("one").instance == now and is_whole(fleet, state) and fleet.start(["one"])[0].ok


def test_without_its_master_it_is_not_put_back(
    fleet: Fleet, state: Path, one: Instance, master: Master, newer: Master
) -> None:
    rebased = rebase(fleet, "one", newer)
    fleet.masters.folder(master).rename(state / "elsewhere")
    with pytest.raises(NotFound):
        rollback(fleet, "one")
    assert fleet.machine("one").instance == rebased and labels(fleet) == ["before-rebase-1"]


def test_one_that_was_grown_is_grown_before_it_is_put_back(
    fleet: Fleet, state: Path, one: Instance, newer: Master
) -> None:
    rebase(fleet, "one", newer)
    assert fleet.overlays.grow(["one"], 96 * MIB)[0].ok
    restored, aside = rollback(fleet, "one")
    assert restored.overlay.size == overlay(state, one).stat().st_size == 96 * MIB
    assert labels(fleet) == [aside] and is_whole(fleet, state)
    assert inspect.read_shape(overlay(state, one)).size == 96 * MIB


def test_who_has_no_room_to_put_it_back_keeps_what_there_is(
    fleet: Fleet, state: Path, one: Instance, newer: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebase(fleet, "one", newer)
    assert fleet.overlays.grow(["one"], 96 * MIB)[0].ok
    before = fleet.machine("one").instance

    def full(*words: object) -> None:
        raise NoSpace("full")

    with monkeypatch.context() as patch, pytest.raises(NoSpace):
        patch.setattr(space, "make_blank", full)
        rollback(fleet, "one")
    assert fleet.machine("one").instance == before and labels(fleet) == ["before-rebase-1"]
    assert is_whole(fleet, state)


def test_pinned_host_keys_stay_unless_the_other_has_others(
    fleet: Fleet, one: Instance, newer: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebase(fleet, "one", newer)
    fleet._catalog.pin_host_keys(one.uuid, HOST_KEYS)
    rollback(fleet, "one")
    assert fleet._catalog.rows(["one"])[0].host_keys == HOST_KEYS
    rebase(fleet, "one", newer)
    seen = iter([b"one", b"another"])
    with monkeypatch.context() as patch:
        patch.setattr(inspect, "read_identity", lambda *words: next(seen))
        rollback(fleet, "one")
    assert fleet._catalog.rows(["one"])[0].host_keys == ()


def test_it_is_given_up_for_good(fleet: Fleet, state: Path, one: Instance, newer: Master) -> None:
    rebased = rebase(fleet, "one", newer)
    assert commit(fleet, "one") == replace(rebased, trial=None) == fleet.machine("one").instance
    assert labels(fleet) == [] and is_whole(fleet, state)
    for again in (commit, rollback):
        with pytest.raises(NotFound):
            again(fleet, "one")


def test_one_that_runs_is_not_put_back(fleet: Fleet, state: Path, one: Instance, newer: Master) -> None:
    rebased = rebase(fleet, "one", newer)
    fleet._host.start(rebased, newer, fleet.masters.folder(newer), UNATTENDED)
    with pytest.raises(Conflict):
        rollback(fleet, "one")
    assert fleet.machine("one").instance == rebased and labels(fleet) == ["before-rebase-1"]


def test_two_at_once_are_a_conflict(fleet: Fleet, one: Instance, newer: Master) -> None:
    rebase(fleet, "one", newer)
    with leased(fleet._host, fleet._catalog, one, Doing.SET):
        for each in (rollback, commit):
            with pytest.raises(Conflict):
                each(fleet, "one")
        with pytest.raises(Conflict):
            rebase(fleet, "one", newer)
    assert labels(fleet) == ["before-rebase-1"]


def test_the_masters_that_are_needed_stay(fleet: Fleet, one: Instance, master: Master, newer: Master) -> None:
    """T13: for the way back, and for every snapshot."""
    assert fleet.overlays.snapshot(["one"], "mine")[0].ok
    rebase(fleet, "one", newer)
    assert fleet.masters.garbage(keep=0) == []
    with pytest.raises(Blocked, match="'before-rebase-1' of one and 1 more") as caught:
        fleet.masters.remove("tiny:1")
    assert caught.value.hint and "rebase one --commit" in caught.value.hint
    commit(fleet, "one")
    with pytest.raises(Blocked, match="the master of the snapshot 'mine' of one") as caught:
        fleet.masters.remove("tiny:1")
    assert caught.value.hint == "skinnybox snapshot delete mine one"
    assert fleet.overlays.delete_snapshot(["one"], "mine")[0].ok
    assert [item.master for item in fleet.masters.garbage(keep=0)] == [master]
    assert fleet.masters.remove("tiny:1") == master


def test_what_is_put_aside_keeps_its_master(fleet: Fleet, one: Instance, newer: Master) -> None:
    rebase(fleet, "one", newer)
    rollback(fleet, "one")
    with pytest.raises(Blocked, match="after-rebase-2"):
        fleet.masters.remove("next:1")


def test_after_its_time_it_is_given_up(fleet: Fleet, state: Path, one: Instance, newer: Master) -> None:
    now = datetime.now(UTC)
    rebased = rebase(fleet, "one", newer, keep_until=now + timedelta(hours=1))
    assert not rebase_kept.is_expired(rebased)
    assert rebase_kept.is_expired(rebased, now + timedelta(hours=2))
    assert fleet.masters.garbage(keep=0) == [] and fleet.masters.collect([]) == []
    assert labels(fleet) == ["before-rebase-1"] and found(state) == {}
    rollback(fleet, "one")
    fleet.overlays.delete_snapshot(["one"], "after-rebase-2")
    rebase(fleet, "one", newer, keep_until=now)
    assert "need not be kept any longer" in found(state)[f"instances/{one.uuid}"][1]
    gone = fleet.masters.garbage(keep=0)
    assert [item.name for item in gone] == ["tiny:1"]
    assert fleet.masters.collect(gone) == gone and labels(fleet) == []
    assert fleet.machine("one").instance.trial is None


@pytest.mark.parametrize("phase", [TrialPhase.BUILT, TrialPhase.RUNNING])
def test_one_that_is_not_decided_is_kept_beyond_its_time(
    fleet: Fleet, one: Instance, newer: Master, phase: TrialPhase
) -> None:
    rebase(fleet, "one", newer, phase, keep_until=datetime.now(UTC))
    assert fleet.masters.garbage(keep=0) == [] and fleet.masters.collect([]) == []
    assert labels(fleet) == ["before-rebase-1"]


def test_what_snapshots_say_and_refuse(
    fleet: Fleet, state: Path, one: Instance, newer: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fleet.overlays.snapshot(["one"], "mine")[0].ok
    rebase(fleet, "one", newer)
    words = ("--state", str(state), "--host", "memory")
    listed = said(capsys, *words, "snapshot", "list", "--format", "csv").out
    assert [line.rsplit(",", 1)[1] for line in listed.splitlines()[1:]] == ["another master", "rollback"]
    error = error_of(fleet.overlays.restore(["one"], "before-rebase-1"))
    assert isinstance(error, Blocked) and error.hint and "`skinnybox rollback one`" in error.hint
    error = error_of(fleet.overlays.restore(["one"], "mine"))
    assert isinstance(error, Blocked) and error.hint
    assert error.hint.endswith("can put it back: `skinnybox rollback one`")  # another rebase is refused
    error = error_of(fleet.overlays.delete_snapshot(["one"], "before-rebase-1"))
    assert isinstance(error, Blocked) and error.hint and "rebase one --commit" in error.hint
    with pytest.raises(UsageError):
        fleet.overlays.snapshot(["one"], "before-rebase-9")
    rollback(fleet, "one")
    listed = said(capsys, *words, "snapshot", "list", "--format", "csv").out
    assert [line.rsplit(",", 1)[1] for line in listed.splitlines()[1:]] == ["restore", "another master"]
    rebase(fleet, "one", newer)
    commit(fleet, "one")
    error = error_of(fleet.overlays.restore(["one"], "mine"))
    assert (
        error and error.hint and error.hint.endswith("can put it back: `skinnybox rebase one --onto tiny:1`")
    )


def test_what_is_kept_is_counted_and_goes_with_the_machine(
    fleet: Fleet, state: Path, one: Instance, newer: Master
) -> None:
    before = fleet.capacity(MIB).space.snapshots
    rebase(fleet, "one", newer)
    kept = image(state, one, "before-rebase-1").stat().st_blocks * 512
    assert fleet.capacity(MIB).space.snapshots >= before + kept
    assert fleet.delete(["one"])[0].ok
    assert not overlay(state, one).parent.exists()
    assert fleet.masters.remove("tiny:1")


DIES = """
import os, sys
from importlib import import_module
from pathlib import Path
from tests import rebased
from tests.fleet.conftest import open_fake
state, place, behind, what = sys.argv[1:]
module, _, name = place.rpartition(".")
try:
    owner = import_module(module)
except ImportError:
    module, _, of = module.rpartition(".")
    owner = getattr(import_module(module), of)
real, left = getattr(owner, name), [int(behind)]
def dies(*words, **more):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    found = real(*words, **more)
    return found
setattr(owner, name, dies)
rebased.main(state, "memory", what)
"""
LINK = "skinnybox.hosts.local.keeping._link"
RECORD, DEFINE = "skinnybox.fleet.catalog.catalog.Catalog.record", "skinnybox.hosts.fake.host.FakeHost.define"
REBUILT, SWAPPED = "skinnybox.hosts.local.copies.put_in_place", "skinnybox.hosts.local.keeping.put_in_place"
SYNC, DROP = "skinnybox.hosts.local.keeping.sync", "skinnybox.hosts.local.shared.drop"
DELETE = "skinnybox.hosts.local.snapshots.delete"


def dies(state: Path, place: str, behind: int, what: str) -> None:
    """Another process, killed at the call of `place` after so many."""
    argv = [sys.executable, "-c", DIES, str(state), place, str(behind), what]
    assert subprocess.run(argv, cwd=Path(__file__).parents[2], check=False).returncode == 9


def is_before(fleet: Fleet, state: Path, one: Instance) -> bool:
    assert is_whole(fleet, state)
    return fleet.machine("one").instance == one and ends(overlay(state, one), BEFORE)


def mends(fleet: Fleet, state: Path) -> None:
    mended(state)


def starts(fleet: Fleet, state: Path) -> None:
    assert fleet.set(["one"], {"cpus": 2})[0].ok and fleet.set(["one"], {"cpus": 1})[0].ok


def lost(fleet: Fleet, state: Path) -> None:
    """Only the record on the host says what was meant."""
    lose(state)
    mended(state)


Next = Callable[[Fleet, Path], None]
by_next = pytest.mark.parametrize("follows", [mends, starts, lost])


@by_next
@pytest.mark.parametrize(("place", "behind"), [(LINK, 0), (SYNC, 1), (RECORD, 0), (DEFINE, 0), (REBUILT, 0)])
def test_killed_before_it_was_in_place_it_never_was(
    fleet: Fleet, state: Path, one: Instance, place: str, behind: int, follows: Next
) -> None:
    dies(state, place, behind, "rebase")
    assert labels(fleet) == []
    follows(fleet, state)
    with open_fake(state) as again:
        assert is_before(again, state, one) and labels(again) == []
        assert again.start(["one"])[0].ok
    assert overlay(state, one).stat().st_nlink == 1


@by_next
def test_killed_once_it_was_in_place_it_is(
    fleet: Fleet, state: Path, one: Instance, newer: Master, follows: Next
) -> None:
    dies(state, "skinnybox.hosts.local.copies.sync", 1, "rebase")
    follows(fleet, state)
    with open_fake(state) as again:
        now = again.machine("one").instance
        assert now.stack.master == newer.id and now.trial and now.trial.phase is TrialPhase.BUILT
        assert is_whole(again, state) and labels(again) == ["before-rebase-1"]
        rollback(again, "one")
        assert is_before(again, state, one)


@by_next
@pytest.mark.parametrize("place", [RECORD, DEFINE, LINK, SWAPPED])
def test_a_way_back_that_was_killed_before_it_was_taken_can_be_taken(
    fleet: Fleet, state: Path, one: Instance, newer: Master, place: str, follows: Next
) -> None:
    rebased = rebase(fleet, "one", newer)
    dies(state, place, 0, "rollback")
    follows(fleet, state)
    with open_fake(state) as again:
        assert again.machine("one").instance == rebased and is_whole(again, state)
        assert labels(again) == ["before-rebase-1"] and ends(overlay(state, one), REBASED)
        assert rollback(again, "one")[0] == one and is_before(again, state, one)


@by_next
@pytest.mark.parametrize(("place", "behind"), [(SYNC, 3), (DROP, 3), (RECORD, 1), (DEFINE, 1)])
def test_a_way_back_that_was_killed_after_it_was_taken_is_taken(
    fleet: Fleet, state: Path, one: Instance, newer: Master, place: str, behind: int, follows: Next
) -> None:
    rebase(fleet, "one", newer)
    dies(state, place, behind, "rollback")
    follows(fleet, state)
    with open_fake(state) as again:
        assert is_before(again, state, one) and labels(again) == ["after-rebase-2"]
        assert again.start(["one"])[0].ok
    assert ends(image(state, one, "after-rebase-2"), REBASED)


@by_next
def test_a_way_back_by_a_copy_that_was_killed_after_it_was_taken_is_taken(
    fleet: Fleet, state: Path, one: Instance, newer: Master, follows: Next
) -> None:
    rebase(fleet, "one", newer)
    fleet.overlays.grow(["one"], 96 * MIB)
    dies(state, DELETE, 0, "rollback")
    follows(fleet, state)
    with open_fake(state) as again:
        assert is_whole(again, state) and again.machine("one").instance.stack == one.stack
        assert "after-rebase-2" in labels(again) and again.machine("one").instance.trial is None


@by_next
@pytest.mark.parametrize("place", [RECORD, DEFINE])
def test_a_commit_that_was_killed_is_done(
    fleet: Fleet, state: Path, one: Instance, newer: Master, place: str, follows: Next
) -> None:
    rebased = rebase(fleet, "one", newer)
    dies(state, place, 0, "commit")
    follows(fleet, state)
    with open_fake(state) as again:
        assert again.machine("one").instance == replace(rebased, trial=None)
        assert is_whole(again, state) and labels(again) == []


def test_what_still_is_the_overlay_is_told_by_doctor_and_gone_at_a_start(
    fleet: Fleet, state: Path, one: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies(state, REBUILT, 0, "rebase")
    monkeypatch.setattr("skinnybox.hosts.local.leftovers._YOUNG", -1.0)
    place = f"instances/{one.uuid}/snapshots/before-rebase-1"
    seen = found(state)
    assert {seen[f"{place}.{suffix}"][0] for suffix in ("img", "json")} == {Deed.REMOVE}
    assert "that was to be kept, and still is in place" in seen[f"{place}.img"][1]
    host = FakeHost(state)
    host.start(one, fleet.masters.find("tiny"), fleet.masters.folder(fleet.masters.find("tiny")), UNATTENDED)
    assert overlay(state, one).stat().st_nlink == 1


def test_a_kept_one_that_somebody_removed_costs_the_way_back_only(
    fleet: Fleet, state: Path, one: Instance, newer: Master
) -> None:
    """The overlay says itself which master it is of."""
    rebased = rebase(fleet, "one", newer, TrialPhase.BUILT)
    for suffix in ("img", "json"):
        image(state, one, "before-rebase-1").with_suffix(f".{suffix}").unlink()
    mended(state)
    assert fleet.machine("one").instance == replace(rebased, trial=None) and is_whole(fleet, state)


def test_a_rebase_that_fails_leaves_nothing(
    fleet: Fleet, state: Path, one: Instance, newer: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: object, **more: object) -> None:
        raise NoSpace("full")

    for place in (LINK, REBUILT, DEFINE, RECORD):
        with monkeypatch.context() as patch, pytest.raises(SkinnyboxError):
            patch.setattr(place, full)
            rebase(fleet, "one", newer)
        if place in (DEFINE, RECORD):  # which could not be taken back either
            starts(fleet, state)
        assert is_before(fleet, state, one) and labels(fleet) == []
        assert overlay(state, one).stat().st_nlink == 1
