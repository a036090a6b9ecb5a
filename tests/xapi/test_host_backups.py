"""Snapshots that others make of our machines in the pool: of overlays, never of what all share."""

from pathlib import Path
from typing import Any

import pytest
import XenAPI

from skinnybox.errors import Conflict
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.repair import repair
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.build import COPIES_IT
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import SMALL, at_work, host_on, machine, make_one, plain_disk, vm_of

pytestmark = pytest.mark.image
GUEST = at_work


@pytest.fixture
def running(running: Instance, host: XapiHost) -> Instance:
    assert host.reports([running.uuid])[running.uuid].ready
    return running


def backed_up(api: Any, vm: str, tag: str = "[NOBAK]") -> str:
    """As Xen Orchestra takes a snapshot: without the disks that have the tag in their names."""
    disks = [api.VBD.get_VDI(vbd) for vbd in api.VM.get_VBDs(vm) if api.VBD.get_type(vbd) == "Disk"]
    ignored = [disk for disk in disks if tag in api.VDI.get_name_label(disk)]
    return str(api.VM.snapshot(vm, "backup", ignored))


def disks(pool: EmulatedPool, **values: Any) -> list[str]:
    """Roles of all disks with these values."""
    with pool.database() as database:
        return sorted(tags.role_of(record) for _, record in database.where("VDI", **values))


@pytest.mark.parametrize("tag", ["[NOBAK]", "[NOSNAP]"])
def test_a_backup_takes_the_overlay_and_leaves_the_master_out(
    pool: EmulatedPool, host: XapiHost, running: Instance, tag: str, tmp_path: Path
) -> None:
    with pool.session() as api:
        snapshot = backed_up(api, vm_of(pool, running), tag)
        assert len(api.VM.get_VBDs(snapshot)) == 1
        assert disks(pool, is_a_snapshot=True) == ["overlay"]
        assert list(host.statuses()) == [running.uuid] and [each.uuid for each in host.records()]
        api.VM.set_name_description(vm_of(pool, running), "the pool tells of it after its snapshot")
        neighbour = host_on(pool, tmp_path / "another", make_disk=plain_disk)
        (told,) = [check for check in neighbour.doctor() if check.name == "neighbour"]
        assert running.name in told.detail and "backup" not in told.detail
        neighbour.close()
        host.power_off(running)
        with pytest.raises(Conflict, match="backup"):
            host.delete(running)
        for vbd in api.VM.get_VBDs(snapshot):
            api.VDI.destroy(api.VBD.get_VDI(vbd))
        api.VM.destroy(snapshot)
    host.delete(running)
    assert disks(pool) == ["master", "source"]


def test_going_back_in_the_pool_is_refused(pool: EmulatedPool, host: XapiHost, running: Instance) -> None:
    """It would delete the master under all others, or take it from this one."""
    vm = vm_of(pool, running)
    with pool.session() as api:
        careless = api.VM.snapshot(vm, "with everything")
        host.power_off(running)
        with pytest.raises(XenAPI.Failure) as caught:
            api.VM.revert(careless)
        assert (
            caught.value.details[0] == "OPERATION_BLOCKED" and "snapshot restore" in caught.value.details[2]
        )
        assert disks(pool, is_a_snapshot=False) == ["master", "overlay", "source"]
        api.VM.remove_from_blocked_operations(vm, "reverting")  # this is what is kept from them:
        masters = {ref for ref, each in api.VDI.get_all_records().items() if tags.role_of(each) == "master"}
        api.VM.revert(careless)
        assert not masters <= set(api.VDI.get_all())


def test_a_machine_that_was_restored_comes_up(
    pool: EmulatedPool, host: XapiHost, running: Instance, sealed: Sealed
) -> None:
    """A backup has no master: `start` attaches it again."""
    vm = vm_of(pool, running)
    with pool.session() as api:
        snapshot = backed_up(api, vm)
        host.power_off(running)
        for disk in [api.VBD.get_VDI(vbd) for vbd in api.VM.get_VBDs(vm)]:
            if tags.role_of(api.VDI.get_record(disk)) == "overlay":
                api.VDI.destroy(disk)
        api.VM.set_blocked_operations(vm, {})
        api.VM.destroy(vm)
        restored = api.VM.clone(snapshot, running.name)
        api.VM.set_is_a_template(restored, False)
        for vbd in api.VM.get_VBDs(snapshot):
            api.VDI.destroy(api.VBD.get_VDI(vbd))
        api.VM.destroy(snapshot)
        assert len(api.VM.get_VBDs(restored)) == 1
        host.start(running, *sealed, Operation())
        assert host.reports([running.uuid])[running.uuid].ready
        assert len(api.VM.get_VBDs(restored)) == 2
        assert {"destroy", "reverting"} <= set(api.VM.get_blocked_operations(restored))


def test_a_backup_is_restored_as_the_docs_say(pool: EmulatedPool, state: Path) -> None:
    """Deleted here, restored there with all that it bore, remembered by `repair`, started."""
    with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=2) as fleet:
        fleet.create(["web"], "tiny", SMALL)
        assert [outcome.error for outcome in fleet.start(["web"], timeout=20.0)] == [None]
        fleet.stop(["web"], Stopping(timeout=20.0, then_kill=True))
        with pool.session() as api:
            (vm,) = api.VM.get_by_name_label("web")
            snapshot = backed_up(api, vm)
            kept = api.VM.clone(snapshot, "in the backup")
            (disk,) = [api.VBD.get_VDI(vbd) for vbd in api.VM.get_VBDs(kept)]
            bore = [(api.VM, kept, api.VM.get_other_config(kept))]
            bore += [(api.VDI, disk, api.VDI.get_other_config(disk))]
            for of, ref, _ in bore:
                of.set_other_config(ref, {})
            for vbd in api.VM.get_VBDs(snapshot):
                api.VDI.destroy(api.VBD.get_VDI(vbd))
            api.VM.destroy(snapshot)
            assert [outcome.error for outcome in fleet.delete(["web"])] == [None]
            for of, ref, config in bore:
                of.set_other_config(ref, config)
            api.VM.set_name_label(kept, "web")
            api.VM.set_is_a_template(kept, False)
    host = host_on(pool, state, make_disk=plain_disk)
    assert "adopt" in [done.value.deed for done in repair.repair(state, host) if done.value]
    with Fleet(state, host, boots_at_once=2) as fleet:
        assert fleet.names() == ["web"]
        assert [outcome.error for outcome in fleet.start(["web"], timeout=20.0)] == [None]
    assert disks(pool) == ["master", "overlay", "source"]


def test_a_pool_of_an_earlier_version_is_brought_up_to_date(
    pool: EmulatedPool, host: XapiHost, running: Instance, sealed: Sealed
) -> None:
    """Its masters have other names, and are found by what they bear; its machines block all snapshots."""
    vm = vm_of(pool, running)
    host.power_off(running)
    with pool.database() as database:
        for ref, record in list(database.where("VDI")):
            if tags.DIGEST in record["other_config"]:
                database.set("VDI", ref, "name_label", "lamp, do not touch")
        database.set("VM", vm, "blocked_operations", {"snapshot": COPIES_IT, "pause": "mine"})
    pool.log.clear()
    host.start(running, *sealed, Operation())
    assert pool.log.count("VDI.create") == 0
    blocked = machine(pool, running)["blocked_operations"]
    assert "snapshot" not in blocked and blocked["pause"] == "mine" and "reverting" in blocked
    with pool.session() as api:
        names = {
            tags.role_of(each): each["name_label"]
            for each in api.VDI.get_all_records().values()
            if tags.DIGEST in each["other_config"]
        }
        assert names["master"] == "lamp, do not touch [NOBAK] [NOSNAP]"
        backed_up(api, vm)
        assert disks(pool, is_a_snapshot=True) == ["overlay"]
        host.power_off(running)
        api.VM.add_to_blocked_operations(vm, "snapshot", "mine")
    host.start(running, *sealed, Operation())
    assert machine(pool, running)["blocked_operations"]["snapshot"] == "mine"


def test_a_snapshot_of_a_master_is_no_master(
    pool: EmulatedPool, host: XapiHost, running: Instance, sealed: Sealed, new_instance: Any
) -> None:
    """Somebody's snapshot took it along: it is named, and nothing is made of it."""
    vm = vm_of(pool, running)
    with pool.session() as api:
        api.VM.snapshot(vm, "with everything")
        whole = [ref for ref, each in api.VDI.get_all_records().items() if not each["is_a_snapshot"]]
    with pool.database() as database:  # of several that are alike the first by its reference would be taken
        (found,) = [r for _, r in database.where("VDI", is_a_snapshot=True) if tags.role_of(r) == "master"]
        database.create("VDI", {**found, "VBDs": [], "uuid": "0"}, ref="OpaqueRef:0")
    told = [check for check in host.doctor() if check.name == "copies"]
    assert len(told) == 2 and "snapshot" in told[0].detail and "NOBAK" in (told[0].hint or "")
    for number in range(5):
        other = new_instance(f"other-{number}")
        make_one(host, other, Operation())
        attached = machine(pool, other)["VBDs"]
        with pool.database() as database:
            drives = [dict(database.record("VBD", vbd)) for vbd in attached]
        (boots,) = [drive["VDI"] for drive in drives if drive["bootable"]]
        assert boots in whole
        (own,) = [drive for drive in drives if not drive["bootable"]]
        assert own["other_config"]["owner"] == "" and len(drives) == 2
