"""A data disk in a pool: a VDI of its own, told to its machine, and never taken for the overlay."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Blocked, SkinnyboxError
from skinnybox.fleet import data_disk as data
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.repair import repair
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.xapi import disks, maps, tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.xenstore_data import PREFIX
from skinnybox.issues import Deed
from skinnybox.model import Consistency, DiskKind
from skinnybox.model.datadisk import data_disk
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.xapi.furnished import SMALL, at_work, machine

pytestmark = pytest.mark.image
GUEST = at_work
DATA = replace(SMALL, data=data_disk(40 * MIB, ["/srv/data"]))


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """`db`, off, with a data disk."""
    fleet.create(["db"], "tiny", DATA)
    return fleet


def host_of(fleet: Fleet) -> XapiHost:
    host = fleet._host
    assert isinstance(host, XapiHost)
    return host


def lying(pool: EmulatedPool, role: str) -> list[dict[str, Any]]:
    with pool.database() as database:
        return [dict(r, ref=ref) for ref, r in database.tables["VDI"].items() if tags.role_of(r) == role]


def drives(pool: EmulatedPool, fleet: Fleet) -> dict[str, tuple[str, str, str]]:
    """By its place: the disk's role, and how it is attached."""
    found, attached = {}, machine(pool, fleet.machine("db").instance)["VBDs"]
    with pool.database() as database:
        for vbd in attached:
            drive = database.tables["VBD"][vbd]
            disk = database.tables["VDI"][drive["VDI"]]
            marked = drive["other_config"]["skinnybox:role"]
            found[drive["userdevice"]] = (tags.role_of(disk), drive["mode"], marked)
    return found


def test_it_is_the_third_disk_and_its_machine_is_told(pool: EmulatedPool, fleet: Fleet) -> None:
    assert fleet.start(["db"])[0].ok
    assert drives(pool, fleet) == {
        "0": ("master", "RO", "master"), "1": ("overlay", "RW", "overlay"), "2": ("data", "RW", "data"),
    }  # fmt: skip
    told = machine(pool, fleet.machine("db").instance)["xenstore_data"]
    assert told[f"{PREFIX}data"] == "xvdc"
    assert f"{PREFIX}format-data" not in told
    assert fleet.machine("db").condition is Condition.READY


def test_one_that_is_given_later_is_attached_at_the_next_start(pool: EmulatedPool, fleet: Fleet) -> None:
    fleet.delete(["db"])
    fleet.create(["db"], "tiny", SMALL)
    fleet.start(["db"])
    fleet.kill(["db"])
    assert fleet.overlays.give_data(["db"], 40 * MIB, ["/srv/data"])[0].ok
    assert fleet.start(["db"])[0].ok
    assert drives(pool, fleet)["2"] == ("data", "RW", "data")
    assert machine(pool, fleet.machine("db").instance)["xenstore_data"][f"{PREFIX}data"] == "xvdc"


def test_nothing_stays_of_one_that_could_not_be_given(
    pool: EmulatedPool, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host has not heard of it; where it has, it stays: its record says so."""
    fleet.delete(["db"])
    before = fleet.create(["db"], "tiny", SMALL)[0]

    def fails(*words: object, **more: object) -> None:
        raise SkinnyboxError("for the test")

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "hold_ports", fails)
        error = fleet.overlays.give_data(["db"], 40 * MIB, ["/srv/data"])[0].error
    assert error is not None and error.message == "for the test"
    assert lying(pool, "data") == [] == lying(pool, "making")
    assert fleet.machine("db").instance == before
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "record", fails)
        fleet.overlays.give_data(["db"], 40 * MIB, ["/srv/data"])
    assert len(lying(pool, "data")) == 1
    assert [r.data and r.data.size for r in fleet._host.records()] == [40 * MIB]
    repair.repair(fleet._folder, fleet._host)
    assert fleet.start(["db"])[0].ok and drives(pool, fleet)["2"][0] == "data"


def test_one_that_a_killed_command_left_makes_way_for_another(pool: EmulatedPool, fleet: Fleet) -> None:
    fleet.delete(["db"])
    plain = fleet.create(["db"], "tiny", SMALL)[0]
    data.make(fleet._host, data.given(plain, 40 * MIB, []), Operation())
    assert fleet.overlays.give_data(["db"], 48 * MIB, [])[0].ok
    assert [int(each["virtual_size"]) for each in lying(pool, "data")] == [48 * MIB]
    assert fleet.start(["db"])[0].ok and drives(pool, fleet)["2"][0] == "data"


def test_a_reset_leaves_the_very_same_disk(pool: EmulatedPool, fleet: Fleet) -> None:
    fleet.start(["db"])
    fleet.kill(["db"])
    [before] = lying(pool, "data")
    assert fleet.overlays.reset(["db"])[0].ok
    [after] = lying(pool, "data")
    assert before["uuid"] == after["uuid"]
    assert fleet.start(["db"])[0].ok and drives(pool, fleet)["2"][0] == "data"


def test_a_grown_one_takes_its_place(pool: EmulatedPool, fleet: Fleet) -> None:
    [overlay] = lying(pool, "overlay")
    assert fleet.overlays.grow(["db"], 64 * MIB, disk=DiskKind.DATA)[0].ok
    [data] = lying(pool, "data")
    assert int(data["virtual_size"]) == 64 * MIB and tags.generation_of(data) == 2
    assert lying(pool, "superseded") == [] == lying(pool, "making")
    assert [each["uuid"] for each in lying(pool, "overlay")] == [overlay["uuid"]]
    assert fleet.start(["db"])[0].ok and drives(pool, fleet)["2"][0] == "data"


def test_what_fails_of_the_one_takes_nothing_of_the_other(pool: EmulatedPool, fleet: Fleet) -> None:
    """Both may be of the same generation."""
    instance, own = fleet.machine("db").instance, host_of(fleet)._pool
    for kind in DiskKind:
        own.things.refresh()
        with pytest.raises(SkinnyboxError, match="stopped"), disks.undone(own, instance, 1, kind):
            mine = disks._record(own, instance, 1, 40 * MIB, tags.Role.MAKING, own.sr()[0], kind)
            own.call("VDI.create", mine)
            raise SkinnyboxError("stopped")
        left = {str(DiskKind.OVERLAY): 1, str(DiskKind.DATA): 1} | {str(kind): 0}
        assert {role: len(lying(pool, role)) for role in left} == left
        assert lying(pool, "making") == []
        fleet.delete(["db"], force=True)
        fleet.create(["db"], "tiny", DATA)
        instance = fleet.machine("db").instance


def test_without_it_nothing_starts_and_nobody_makes_another(
    pool: EmulatedPool, fleet: Fleet, state: Path
) -> None:
    with pool.session() as api:
        api.VDI.destroy(lying(pool, "data")[0]["ref"])
    host_of(fleet)._pool.things.refresh(anew=True)
    assert "its data disk is gone" in (fleet.machine("db").reason or "")
    outcome = fleet.start(["db"])[0]
    assert outcome.error is not None and "no data disk in this pool" in outcome.error.message
    said = [o.value.what for o in repair.repair(state, host_of(fleet)) if o.value]
    assert sum("data disk" in what for what in said) == 1
    assert lying(pool, "data") == []


def test_a_detached_one_is_attached_again(pool: EmulatedPool, fleet: Fleet, state: Path) -> None:
    with pool.session() as api:
        for drive in lying(pool, "data")[0]["VBDs"]:
            api.VBD.destroy(drive)
    host_of(fleet)._pool.things.refresh(anew=True)
    assert "its data disk is detached" in (fleet.machine("db").reason or "")
    found = [o.value for o in repair.repair(state, host_of(fleet)) if o.value]
    assert Deed.ATTACH in {finding.deed for finding in found}
    assert drives(pool, fleet)["2"][0] == "data"


def test_a_snapshot_of_a_machine_that_runs(pool: EmulatedPool, fleet: Fleet) -> None:
    fleet.start(["db"])
    kept = fleet.overlays.snapshot(["db"], "one", data=True)[0].value
    assert kept is not None and kept.data and kept.consistent is Consistency.CRASH
    assert len(lying(pool, "snapshot")) == len(lying(pool, "data-snapshot")) == 1
    assert lying(pool, "moment") == []
    assert list(fleet._host.leftovers({fleet.machine("db").instance.uuid})) == []
    fleet.overlays.delete_snapshot(["db"], "one")
    assert lying(pool, "snapshot") == [] == lying(pool, "data-snapshot")


def test_both_are_put_back_or_none(pool: EmulatedPool, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between the two, the first that counted is deleted again; and the machine says that it was."""
    fleet.overlays.snapshot(["db"], "one", data=True)
    before = {each["uuid"] for role in ("overlay", "data") for each in lying(pool, role)}
    real, put = maps.put, list[str]()

    def fails(*words: Any) -> None:
        if words[-1] in ("overlay", "data"):
            put.append(words[-1])
            if len(put) == 2:
                raise SkinnyboxError("for the test")
        real(*words)

    with monkeypatch.context() as patch:
        patch.setattr(maps, "put", fails)
        error = fleet.overlays.restore(["db"], "one", data=True)[0].error
    assert put == ["data", "overlay"] and error is not None and "one may be put back" in error.message
    assert {each["uuid"] for role in ("overlay", "data") for each in lying(pool, role)} == before
    assert isinstance(fleet.start(["db"])[0].error, Blocked)
    assert fleet.overlays.restore(["db"], "one", data=True)[0].ok
    after = {each["uuid"] for role in ("overlay", "data") for each in lying(pool, role)}
    assert len(after) == 2 and after.isdisjoint(before)
    assert lying(pool, "superseded") == [] == lying(pool, "making")
    assert fleet.start(["db"])[0].ok and drives(pool, fleet)["2"][0] == "data"


def test_half_a_snapshot_is_none_and_goes(pool: EmulatedPool, fleet: Fleet) -> None:
    instance = fleet.machine("db").instance
    fleet._host.take_snapshot(instance, "one", Operation(), data=True)
    with pool.session() as api:
        api.VDI.destroy(lying(pool, "snapshot")[0]["ref"])
    host_of(fleet)._pool.things.refresh(anew=True)
    assert list(fleet._host.snapshots(instance)) == []
    fleet._host.take_snapshot(instance, "two", Operation())
    assert lying(pool, "data-snapshot") == []


def test_a_copy_that_somebody_made_of_it_is_told(pool: EmulatedPool, fleet: Fleet) -> None:
    """A pool gives a copy all the marks."""
    with pool.session() as api:
        api.VDI.clone(lying(pool, "data")[0]["ref"])
    assert len(lying(pool, "data")) == 2
    found = [f.what for f in fleet._host.leftovers({fleet.machine("db").instance.uuid})]
    assert any("not the data disk that counts" in what for what in found)
    error = fleet.delete(["db"])[0].error
    assert error is not None and "another data disk in the pool" in error.message


def test_it_goes_with_its_machine(pool: EmulatedPool, fleet: Fleet) -> None:
    fleet.overlays.snapshot(["db"], "one", data=True)
    assert fleet.delete(["db"])[0].ok
    assert [lying(pool, role) for role in ("overlay", "data", "snapshot", "data-snapshot")] == [
        [],
        [],
        [],
        [],
    ]
