"""Parts of what machines of a pool made their own: given back, dropped, given to others; and new names."""

from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from skinnybox import run
from skinnybox.errors import Blocked, Conflict
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.moving import Move
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.view import Condition
from skinnybox.model import Consistency, DiskKind, Instance, Network
from skinnybox.model.datadisk import data_disk
from skinnybox.operation import UNATTENDED
from skinnybox.overlays import inspect
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.unit.archived import opened, unpacked
from tests.xapi.furnished import SMALL, at_work, machine

pytestmark = pytest.mark.image
GUEST = at_work


@pytest.fixture
def one(fleet: Fleet, tmp_path: Path) -> Instance:
    """Off; it has run, and written /srv/site and /srv/other."""
    (made,) = fleet.create(["one"], "tiny", SMALL)
    assert fleet.start(["one"], timeout=20.0)[0].ok
    fleet.kill(["one"])

    def build(old: Path, new: Path) -> None:
        new.write_bytes(old.read_bytes())
        content = tmp_path / "content"
        content.write_text("mine")
        for order in (
            "mkdir upper/srv",
            f"write {content} upper/srv/site",
            f"write {content} upper/srv/other",
        ):
            run.run(["debugfs", "-w", "-R", order, new])

    fleet._host.rebuild_overlay(made, made.overlay.size, build, UNATTENDED)
    return made


def names_in(fleet: Fleet, name: str) -> str:
    with fleet._host.open_overlay(fleet.machine(name).instance, UNATTENDED) as overlay:
        return run.run(["debugfs", "-R", "ls -p upper/srv", overlay]).stdout.decode()


def comes_up(fleet: Fleet, name: str) -> None:
    (started,) = fleet.start([name], timeout=20.0)
    assert started.ok, started.error
    assert fleet.machine(name).condition is Condition.READY
    assert fleet.kill([name])[0].ok


def test_a_path_is_given_back(fleet: Fleet, one: Instance) -> None:
    (outcome,) = fleet.deltas.give_back(["one"], ["/srv/site"])
    assert outcome.error is None and outcome.value is not None and outcome.value.count == 1
    assert "/site/" not in names_in(fleet, "one") and "/other/" in names_in(fleet, "one")
    assert list(fleet._host.records()) == [fleet.machine("one").instance]
    comes_up(fleet, "one")


def test_copies_that_say_nothing_are_dropped(fleet: Fleet, one: Instance) -> None:
    (outcome,) = fleet.deltas.slim(["one"])
    assert outcome.error is None, outcome.error
    assert "/site/" in names_in(fleet, "one")
    comes_up(fleet, "one")


def test_a_copy_has_it_and_is_another(fleet: Fleet, one: Instance) -> None:
    (copy,) = fleet.deltas.copy("one", ["two"])
    assert "/site/" in names_in(fleet, "two")
    with fleet._host.open_overlay(copy, UNATTENDED) as overlay:
        assert inspect.read_base(overlay).get("instance") == str(copy.uuid)
    comes_up(fleet, "two")
    comes_up(fleet, "one")


@pytest.fixture
def db(fleet: Fleet) -> Instance:
    """Off, with a data disk of which its guest has begun the folder."""
    (made,) = fleet.create(["db"], "tiny", replace(SMALL, data=data_disk(32 * MIB, ["/srv/data"])))

    def build(old: Path, new: Path) -> None:
        new.write_bytes(old.read_bytes())
        source = new.with_name("content")
        source.write_text("kept")
        for order in ("mkdir folders/srv%data", f"write {source} folders/srv%data/x"):
            run.run(["debugfs", "-w", "-R", order, new])

    fleet._host.rebuild_overlay(made, 32 * MIB, build, UNATTENDED, DiskKind.DATA)
    return made


def test_both_disks_are_read_at_once(fleet: Fleet, db: Instance, tmp_path: Path) -> None:
    """Of one machine, by one command."""
    (tmp_path / "here").mkdir()
    fleet.remote.fetch("db", ["/srv/data/x", "/etc/os-release"], tmp_path / "here")
    assert (tmp_path / "here/x").read_text() == "kept" and (tmp_path / "here/os-release").read_text()
    (copy,) = fleet.deltas.copy("db", ["two"], data=True)
    fleet.remote.fetch("two", ["/srv/data/x"], tmp_path / "again")
    assert (tmp_path / "again").read_text() == "kept" and copy.data == db.data
    with fleet._host.open_overlay(db, UNATTENDED):
        done: list[object] = []

        def other() -> None:
            try:
                done.append(fleet.remote.fetch("db", ["/etc/os-release"], tmp_path / "other"))
            except Conflict as error:
                done.append(error.message)

        thread = Thread(target=other)
        thread.start()
        thread.join()
        assert done == ["another command works on the overlay of db"]


@pytest.mark.parametrize("running", [False, True])
def test_an_export_has_it(fleet: Fleet, one: Instance, tmp_path: Path, running: bool) -> None:
    if running:
        assert fleet.start(["one"], timeout=20.0)[0].ok
    first, later = tmp_path / "first", tmp_path / "later"
    made = fleet.deltas.export("one", Export(file=first))
    assert made.consistency is (Consistency.CRASH if running else Consistency.STOPPED)
    site = opened(unpacked(first)).extractfile("overlay/srv/site")
    assert site is not None and site.read() == b"mine"
    assert fleet.deltas.export("one", Export(file=later, since=first)).members == 2
    assert fleet.machine("one").condition is (Condition.READY if running else Condition.STOPPED)


@pytest.mark.full
def test_what_was_exported_is_made_again(fleet: Fleet, one: Instance, tmp_path: Path) -> None:
    file = tmp_path / "one.tar.zst"
    fleet.deltas.export("one", Export(file=file))
    another = fleet.deltas.restore("two", Restore(sources=(file,), new_identity=True))
    assert fleet.delete(["one"])[0].ok
    assert fleet.deltas.restore("one", Restore(sources=(file,))) == one
    for instance in (another, one):
        assert "/site/" in names_in(fleet, instance.name)
        with fleet._host.open_overlay(instance, UNATTENDED) as overlay:
            assert inspect.read_base(overlay).get("instance") == str(instance.uuid)
        comes_up(fleet, instance.name)


def test_a_new_name_is_the_pools_as_well(pool: EmulatedPool, fleet: Fleet, one: Instance) -> None:
    renamed = fleet.deltas.rename("one", "other")
    assert fleet.names() == ["other"] and machine(pool, renamed)["name_label"] == "other"
    assert list(fleet._host.records()) == [renamed] and renamed.uuid == one.uuid
    comes_up(fleet, "other")


def test_one_that_runs_is_refused(fleet: Fleet, one: Instance) -> None:
    assert fleet.start(["one"], timeout=20.0)[0].ok
    (outcome,) = fleet.deltas.give_back(["one"], ["/srv/site"])
    assert isinstance(outcome.error, Blocked)
    with pytest.raises((Blocked, Conflict)):
        fleet.deltas.rename("one", "other")
    assert fleet.names() == ["one"]


@pytest.mark.full
@pytest.mark.parametrize("to_pool", [True, False])
def test_it_moves_to_a_pool_and_off_it(
    pool: EmulatedPool, fleet: Fleet, one: Instance, tmp_path: Path, to_pool: bool
) -> None:
    """To a folder of this computer, and back to the pool."""
    with open_fleet(Settings(state=tmp_path / "here", host="fake")) as here:
        [off] = fleet.deltas.move(["one"], here.deltas, Move(changes={"network": None}))
        assert off.ok and fleet.names() == [] and list(fleet._host.statuses()) == [], off.error
        assert here.machine("one").instance.uuid == one.uuid and "other" in names_in(here, "one")
        assert [master.reference for master in here.masters.all()] == ["tiny:1"]
        if to_pool:
            onto_lan = Move(changes={"network": Network.BRIDGE, "bridge": "lan"})
            [on] = here.deltas.move(["one"], fleet.deltas, onto_lan)
            assert on.ok and here.names() == [] and "other" in names_in(fleet, "one"), on.error
            assert fleet.machine("one").instance.uuid == one.uuid
            comes_up(fleet, "one")
