"""Growing, keeping and putting back overlays, and looking into those of running machines."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Blocked, NotFound, SkinnyboxError
from skinnybox.fleet.grow import Grown
from skinnybox.fleet.service import Fleet
from skinnybox.model import Consistency, DiskKind, GuestDisk, Instance
from skinnybox.overlays import inspect
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, open_fake, rewritten


@pytest.fixture
def web(fleet: Fleet) -> Instance:
    return fleet.create(["web"], "tiny", SPARSE)[0]


def image(state: Path, instance: Instance) -> Path:
    return state / "instances" / str(instance.uuid) / "overlay.img"


def write(overlay: Path, name: str, content: bytes = b"x") -> None:
    """As the guest would, into its upper directory."""
    source = overlay.with_name("content")
    source.write_bytes(content)
    run.run(["debugfs", "-w", "-R", f"write {source} upper/{name}", overlay])
    source.unlink()


def paths(fleet: Fleet) -> list[bytes]:
    with fleet.overlays.changes("web") as found:
        return [change.path for change in found]


def recorded(fleet: Fleet) -> tuple[int, int]:
    """In the catalog, and beside the overlay."""
    beside = next(record for record in fleet._host.records() if record.name == "web")
    return fleet.machine("web").instance.overlay.size, beside.overlay.size


def only(outcomes: list[object]) -> SkinnyboxError | None:
    error = getattr(outcomes[0], "error", None)
    assert error is None or isinstance(error, SkinnyboxError)
    return error


def test_growing_keeps_what_is_there(fleet: Fleet, web: Instance, state: Path) -> None:
    write(image(state, web), "file")
    grown = fleet.overlays.grow(["web"], 100 * MIB)[0].value
    assert grown is not None and (grown.before, grown.after) == (64 * MIB, 100 * MIB)
    assert image(state, web).stat().st_size == 100 * MIB
    assert recorded(fleet) == (100 * MIB, 100 * MIB)
    assert paths(fleet) == [b"file"]
    again = fleet.overlays.grow(["web"], 100 * MIB)[0].value
    assert again is not None and again.before == again.after
    more = fleet.overlays.grow(["web"], MIB // 2, by=True)[0].value
    assert more is not None and more.after == 101 * MIB
    assert isinstance(only([*fleet.overlays.grow(["web"], 64 * MIB)]), Blocked)
    assert recorded(fleet) == (101 * MIB, 101 * MIB)


def test_a_running_machine_grows_where_it_is(fleet: Fleet, web: Instance, state: Path) -> None:
    fleet.start(["web"])
    place = image(state, web).stat().st_ino
    grown = fleet.overlays.grow(["web"], 100 * MIB)[0].value
    assert grown is not None and (grown.before, grown.after, grown.live) == (64 * MIB, 100 * MIB, True)
    assert grown.followed and grown.why is None
    assert (image(state, web).stat().st_size, image(state, web).stat().st_ino) == (100 * MIB, place)
    assert recorded(fleet) == (100 * MIB, 100 * MIB)
    assert isinstance(only([*fleet.overlays.grow(["web"], 64 * MIB)]), Blocked)
    more = fleet.overlays.grow(["web"], MIB, by=True)[0].value
    assert more is not None and more.after == 101 * MIB
    assert isinstance(only([*fleet.overlays.restore(["web"], "any")]), Blocked)


def test_a_host_that_cannot_grow_what_runs_says_so(
    fleet: Fleet, web: Instance, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.start(["web"])
    monkeypatch.setattr(type(fleet._host), "grows_running", False)
    assert isinstance(only([*fleet.overlays.grow(["web"], 100 * MIB)]), Blocked)
    assert image(state, web).stat().st_size == 64 * MIB


@pytest.mark.parametrize("at", ["_resize_running", "define"])
def test_a_live_grow_that_was_killed_is_finished_by_the_next(
    fleet: Fleet, web: Instance, state: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    fleet.start(["web"])
    with monkeypatch.context() as patch:
        patch.setattr(type(fleet._host), at, killed)
        with pytest.raises(KeyboardInterrupt):
            fleet.overlays.grow(["web"], 100 * MIB)
    assert image(state, web).stat().st_size == 100 * MIB
    assert fleet.machine("web").instance.overlay.size == 64 * MIB
    with open_fake(state) as later:
        grown = later.overlays.grow(["web"], 100 * MIB)[0].value
        assert grown is not None and grown.after == 100 * MIB and grown.followed
        assert recorded(later) == (100 * MIB, 100 * MIB)


def test_a_filesystem_that_was_left_small_is_grown_while_the_machine_is_off(
    fleet: Fleet, web: Instance, state: Path
) -> None:
    """A guest without resize2fs: nobody writes to the disk of one that is only pretended."""
    write(image(state, web), "file")
    fleet.start(["web"])
    fleet.overlays.grow(["web"], 100 * MIB)
    fleet.kill(["web"])
    assert inspect.read_shape(image(state, web)).size == 64 * MIB
    assert fleet.overlays.grow(["web"], 100 * MIB)[0].error is None
    assert inspect.read_shape(image(state, web)).size == 100 * MIB
    assert paths(fleet) == [b"file"]


def test_what_a_guest_says_of_its_filesystem_is_told(
    fleet: Fleet, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skinnybox.fleet import grow

    monkeypatch.setattr(grow, "FOLLOWING", 0.3)
    monkeypatch.setattr(grow, "SILENT", 0.1)
    fleet.start(["web"])
    reports = type(fleet._host).reports

    def told(disks: tuple[GuestDisk, ...]) -> Grown:
        def all_with(self: object, uuids: object) -> dict[object, object]:
            return {uuid: replace(one, disks=disks) for uuid, one in reports(self, uuids).items()}  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(type(fleet._host), "reports", all_with)
            found = fleet.overlays.grow(["web"], 1, by=True)[0].value
        assert found is not None
        return found

    none = told(())
    assert not none.followed and "by a version whose guests" in str(none.why)
    late = told((GuestDisk(kind=DiskKind.OVERLAY, size=64 * MIB, filesystem=64 * MIB),))
    assert not late.followed and "has said nothing" in str(late.why)
    cannot = told((GuestDisk(kind=DiskKind.OVERLAY, size=1 << 40, filesystem=64 * MIB, why="no resize2fs"),))
    assert not cannot.followed and cannot.why == "no resize2fs"


def test_a_grow_killed_before_it_was_written_down_is_finished(
    fleet: Fleet, web: Instance, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(fleet._host), "define", killed)
        with pytest.raises(KeyboardInterrupt):
            fleet.overlays.grow(["web"], 100 * MIB)
    assert (image(state, web).stat().st_size, recorded(fleet)) == (100 * MIB, (64 * MIB, 64 * MIB))
    with open_fake(state) as later:
        assert only([*later.overlays.grow(["web"], 100 * MIB)]) is None
        assert recorded(later) == (100 * MIB, 100 * MIB)


def test_a_snapshot_is_put_back(fleet: Fleet, web: Instance, state: Path) -> None:
    write(image(state, web), "before")
    kept = fleet.overlays.snapshot(["web"], "first")[0].value
    assert kept is not None and kept.consistent is Consistency.STOPPED
    write(image(state, web), "after")
    assert paths(fleet) == [b"after", b"before"]
    assert [(m.name, s.label) for m, s in fleet.overlays.snapshots()] == [("web", "first")]
    assert fleet.capacity(MIB).space.snapshots >= kept.written
    assert only([*fleet.overlays.restore(["web"], "first")]) is None
    assert paths(fleet) == [b"before"]
    assert fleet.machine("web").instance == web
    assert isinstance(only([*fleet.overlays.restore(["web"], "other")]), NotFound)
    assert only([*fleet.overlays.delete_snapshot(["web"], "first")]) is None
    assert isinstance(only([*fleet.overlays.delete_snapshot(["web"], "first")]), NotFound)
    assert paths(fleet) == [b"before"]


def test_a_snapshot_without_a_label_has_the_time(fleet: Fleet, web: Instance) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    kept = fleet.overlays.snapshot(["web"])[0].value
    assert kept is not None
    named = datetime.strptime(kept.label, "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
    assert before <= named <= kept.taken


def test_putting_back_what_was_smaller_grows_it(fleet: Fleet, web: Instance, state: Path) -> None:
    write(image(state, web), "small")
    fleet.overlays.snapshot(["web"], "small")
    fleet.overlays.grow(["web"], 128 * MIB)
    fleet.overlays.snapshot(["web"], "large")
    assert only([*fleet.overlays.restore(["web"], "small")]) is None
    assert inspect.read_shape(image(state, web)).size == 128 * MIB
    assert paths(fleet) == [b"small"]


def test_putting_back_behind_a_reset_agrees_with_the_record(fleet: Fleet, web: Instance, state: Path) -> None:
    fleet.overlays.snapshot(["web"], "first")
    fleet.overlays.reset(["web"])
    assert fleet.machine("web").instance.seed.generation == 2
    assert only([*fleet.overlays.restore(["web"], "first")]) is None
    assert fleet.machine("web").instance.seed.generation == 1
    assert b"generation 1\n" in seed(state, web)


def test_a_seed_that_changed_is_to_be_applied_again(fleet: Fleet, web: Instance, state: Path) -> None:
    fleet.overlays.snapshot(["web"], "first")
    changed = replace(web, seed=replace(web.seed, run_once="#!/bin/sh\n", generation=4))
    rewritten(fleet, changed)
    assert only([*fleet.overlays.restore(["web"], "first")]) is None
    assert fleet.machine("web").instance.seed == replace(changed.seed, generation=5)
    assert b"generation 5\n" in seed(state, web) and b"\nrun-once\n" in seed(state, web)


def seed(state: Path, instance: Instance) -> bytes:
    return run.run(["debugfs", "-R", "cat skinnybox/seed", image(state, instance)]).stdout


def test_a_snapshot_of_another_image_is_not_put_back(fleet: Fleet, web: Instance) -> None:
    fleet.overlays.snapshot(["web"], "first")
    other = replace(web, stack=replace(web.stack, images=("sha256:" + "2" * 64,)))
    rewritten(fleet, other)
    assert isinstance(only([*fleet.overlays.restore(["web"], "first")]), Blocked)


def test_snapshots_go_with_their_machine(fleet: Fleet, web: Instance, state: Path) -> None:
    fleet.overlays.snapshot(["web"], "first")
    fleet.delete(["web"])
    assert list((state / "instances").iterdir()) == []


@pytest.fixture
def started() -> Iterator[list[str]]:
    """The programs that are started, as Python tells its auditors. A hook stays for good, so it is switched
    off."""
    found, listening = list[str](), [True]

    def hears(event: str, arguments: tuple[object, ...]) -> None:
        if event == "subprocess.Popen" and listening:
            found.append(str(arguments[0]))

    sys.addaudithook(hears)
    yield found
    listening.clear()


def test_a_disk_that_is_clean_takes_one_process(
    fleet: Fleet, web: Instance, state: Path, started: list[str]
) -> None:
    write(image(state, web), "file")
    started.clear()
    assert paths(fleet) == [b"file"]
    assert len(started) == 1


@pytest.mark.parametrize("mark", ["feature needs_recovery", "ssv state 0"])
def test_a_disk_that_is_not_clean_is_mended_on_a_copy(
    fleet: Fleet, web: Instance, state: Path, started: list[str], mark: str
) -> None:
    overlay = image(state, web)
    write(overlay, "file")
    run.run(["debugfs", "-w", "-R", mark, overlay])
    before = overlay.read_bytes()
    started.clear()
    assert paths(fleet) == [b"file"]
    assert len(started) > 1
    assert overlay.read_bytes() == before
    assert [file.name for file in overlay.parent.iterdir() if file.name.startswith(".settle")] == []


def test_a_running_machine_is_looked_into(fleet: Fleet, web: Instance, state: Path) -> None:
    write(image(state, web), "file")
    fleet.start(["web"])
    before = sorted(path.name for path in state.iterdir())
    assert paths(fleet) == [b"file"]
    assert sorted(path.name for path in state.iterdir()) == before
    kept = fleet.overlays.snapshot(["web"], "live")[0].value
    assert kept is not None and kept.consistent is Consistency.CRASH
