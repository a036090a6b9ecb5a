"""What our machines and disks are in a pool, beyond what every host promises (tests/contract)."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import XenAPI

from skinnybox.errors import Blocked, Conflict, Corrupt, SkinnyboxError
from skinnybox.hosts.base import Contents
from skinnybox.hosts.xapi import build, xenstore_data
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Consistency, Image, ImageKind, Instance, Power
from skinnybox.operation import Operation
from skinnybox.sizes import GIB, MIB
from tests.emulators.xapi import EmulatedPool
from tests.emulators.xapi.kinds import NULL
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import all_of, host_on, machine, make_one, plain_disk

New = Callable[..., Instance]


@pytest.fixture
def host(our_pool: EmulatedPool, tmp_path: Path, sealed: Sealed) -> Iterator[XapiHost]:
    opened = host_on(our_pool, tmp_path / "state", make_disk=plain_disk)
    opened.add_master(*sealed, Operation())
    yield opened
    opened.close()


@pytest.fixture
def instance(host: XapiHost, new_instance: New) -> Instance:
    made = new_instance()
    make_one(host, made, Operation())
    return made


def drives(pool: EmulatedPool) -> dict[str, tuple[str, str, bool]]:
    """Place -> mode, role of the disk, whether it boots."""
    with pool.database() as database:
        return {
            record["userdevice"]: (
                record["mode"],
                database.get("VDI", record["VDI"], "other_config")["skinnybox:role"],
                record["bootable"],
            )
            for record in database.tables["VBD"].values()
        }


def test_a_machine_keeps_its_image_when_its_master_has_got_another(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed
) -> None:
    """What is first then is what new machines get."""
    other = Image(kind=ImageKind.EXT4, file="root.ext4", digest=f"sha256:{'e' * 64}", size=MIB)
    (sealed.folder / other.file).write_bytes(b"e" * MIB)
    both = dataclasses.replace(sealed.master, images=(other, *sealed.master.images))
    before = our_pool.log.count("import_raw_vdi")
    assert host.start(instance, both, sealed.folder, Operation()).power is Power.RUNNING
    assert our_pool.log.count("import_raw_vdi") == before
    host.add_master(both, sealed.folder, Operation())
    assert our_pool.log.count("import_raw_vdi") > before


def test_a_machine_is_what_it_should_be(our_pool: EmulatedPool, instance: Instance) -> None:
    found = machine(our_pool, instance)
    assert found["domain_type"] == "hvm" and found["HVM_boot_params"]["firmware"] == "uefi"
    assert found["memory_static_max"] == instance.memory and found["VCPUs_max"] == 1
    assert set(found["blocked_operations"]) == set(build.BLOCKED)
    assert found["tags"] == ["skinnybox"] and found["affinity"] == "OpaqueRef:NULL"
    assert drives(our_pool) == {"0": ("RO", "master", True), "1": ("RW", "overlay", False)}
    (card,) = all_of(our_pool, "VIF")
    assert card["MAC"] == instance.mac
    overlays = [each for each in all_of(our_pool, "VDI") if each["other_config"].get("skinnybox:instance")]
    assert overlays[0]["virtual_size"] == instance.overlay.size


def test_nothing_copies_the_master(
    our_pool: EmulatedPool, instance: Instance, refused: Callable[..., list[str]]
) -> None:
    with our_pool.session() as api:
        vm = api.VM.get_by_name_label(instance.name)[0]
        for call in (api.VM.clone, lambda *params: api.VM.copy(*params, NULL)):
            assert refused(call, vm, "copy")[0] == "OPERATION_BLOCKED"


def test_an_identity_is_on_the_disk_and_nowhere_else(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed
) -> None:
    secret = b"skinnybox-identity 1\nmost private\nend\n"
    contents = xenstore_data.contents_of(instance)
    host.replace_overlay(
        instance, Contents(base=contents.base, seed=contents.seed, identity=secret), Operation()
    )
    with host.open_overlay(instance, Operation()) as path:
        assert secret in path.read_bytes()
    for of in ("VM", "VDI"):
        assert "most private" not in str(all_of(our_pool, of))
    assert drives(our_pool) == {"0": ("RO", "master", True), "1": ("RW", "overlay", False)}
    assert len(all_of(our_pool, "VDI")) == 3  # source, master, the new overlay
    assert "vm-data/skinnybox/format" not in machine(our_pool, instance)["xenstore_data"]
    assert host.start(instance, *sealed, Operation()).power is Power.RUNNING


def test_the_order_to_format_is_given_once(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed
) -> None:
    key = "vm-data/skinnybox/format"
    assert machine(our_pool, instance)["xenstore_data"][key] == str(instance.uuid)
    host.start(instance, *sealed, Operation())
    assert host.reports([instance.uuid])[instance.uuid].ready
    assert key not in machine(our_pool, instance)["xenstore_data"]
    host.define(dataclasses.replace(instance, ssh_user="admin"))
    assert key not in machine(our_pool, instance)["xenstore_data"]
    host.power_off(instance)
    host.start(instance, *sealed, Operation())
    assert key not in machine(our_pool, instance)["xenstore_data"]


@pytest.mark.parametrize(
    "step",
    [
        "VDI.create",
        "import_raw_vdi",
        "VDI.add_to_other_config",
        "VDI.remove_from_other_config",
        "VBD.create",
        "VDI.destroy",
    ],
)
@pytest.mark.parametrize("fault", ["fail", "fail_after", "drop"])
def test_a_replacement_that_fails_leaves_one_whole_overlay(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed, step: str, fault: str
) -> None:
    base = xenstore_data.contents_of(instance)
    host.replace_overlay(instance, Contents(base=base.base, seed=base.seed, identity=b"first"), Operation())
    if fault == "drop":
        our_pool.faults.drop_after(step)
    else:
        getattr(our_pool.faults, fault)(step, "SR_BACKEND_FAILURE_47", "", "", "")
    with contextlib.suppress(SkinnyboxError):
        host.replace_overlay(
            instance, Contents(base=base.base, seed=base.seed, identity=b"second"), Operation()
        )
    our_pool.faults.clear()
    with host.open_overlay(instance, Operation()) as path:
        data = path.read_bytes()
    assert (b"first" in data) != (b"second" in data)
    host.start(instance, *sealed, Operation())
    assert drives(our_pool) == {"0": ("RO", "master", True), "1": ("RW", "overlay", False)}
    host.power_off(instance)
    host.replace_overlay(instance, base, Operation())
    assert len(all_of(our_pool, "VDI")) == 3
    host.delete(instance)
    assert len(all_of(our_pool, "VDI")) == 2 and all_of(our_pool, "VBD") == []


def test_a_running_machine_is_copied_at_one_moment(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed, tmp_path: Path
) -> None:
    host.start(instance, *sealed, Operation())
    assert host.copy_overlay(instance, tmp_path / "copy", Operation()) is Consistency.CRASH
    assert host.take_snapshot(instance, "running", Operation()).consistent is Consistency.CRASH
    assert not [each for each in all_of(our_pool, "VDI") if each["is_a_snapshot"]]
    our_pool.faults.drop_before("export_raw_vdi")
    with pytest.raises(SkinnyboxError):
        host.copy_overlay(instance, tmp_path / "broken", Operation())
    assert not [each for each in all_of(our_pool, "VDI") if each["is_a_snapshot"]]
    assert not (tmp_path / "broken").exists()


@pytest.mark.parametrize("step", ["VDI.create", "VDI.copy", "VDI.add_to_other_config"])
def test_half_a_snapshot_is_none(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, step: str
) -> None:
    before = len(all_of(our_pool, "VDI"))
    our_pool.faults.fail_after(step, "SR_BACKEND_FAILURE_44", "", "", "")
    with pytest.raises(SkinnyboxError):
        host.take_snapshot(instance, "one", Operation())
    our_pool.faults.clear()
    assert host.snapshots(instance) == [] and len(all_of(our_pool, "VDI")) == before


def test_a_damaged_snapshot_is_named(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, tmp_path: Path
) -> None:
    host.take_snapshot(instance, "one", Operation())
    with our_pool.database() as database:
        found = next(
            ref for ref, each in database.where("VDI") if each["other_config"].get("skinnybox:label") == "one"
        )
        database.put("VDI", found, "other_config", "skinnybox:kept", "nonsense")
    with pytest.raises(Corrupt, match="snapshot one"):
        list(host_on(our_pool, tmp_path / "state").snapshots(instance))


def test_a_master_in_use_stays(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed
) -> None:
    with pytest.raises(Blocked, match="still have"):
        host.remove_master(sealed.master)
    host.delete(instance)
    host.remove_master(sealed.master)
    assert all_of(our_pool, "VDI") == []


def test_changes_reach_the_pool(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed
) -> None:
    larger = dataclasses.replace(instance, memory=GIB, cpus=3, name="web-02")
    host.define(larger)
    found = machine(our_pool, larger)
    assert (found["memory_dynamic_max"], found["VCPUs_max"], found["VCPUs_at_startup"]) == (GIB, 3, 3)
    host.start(larger, *sealed, Operation())
    host.define(dataclasses.replace(larger, cpus=1))
    assert machine(our_pool, larger)["VCPUs_max"] == 3  # it runs as it was started
    host.power_off(larger)
    host.define(dataclasses.replace(larger, cpus=1))
    assert machine(our_pool, larger)["VCPUs_max"] == 1


def test_a_machine_half_made_is_completed_by_its_start(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed
) -> None:
    with our_pool.session() as api:
        for of in ("VBD", "VIF"):
            for reference in getattr(api, of).get_all():
                getattr(api, of).destroy(reference)
        api.VM.set_blocked_operations(api.VM.get_by_name_label(instance.name)[0], {})
    host.start(instance, *sealed, Operation())
    assert drives(our_pool) == {"0": ("RO", "master", True), "1": ("RW", "overlay", False)}
    assert set(machine(our_pool, instance)["blocked_operations"]) == set(build.BLOCKED)
    assert len(all_of(our_pool, "VIF")) == 1


def test_a_damaged_record_is_a_holding_with_trouble(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, tmp_path: Path
) -> None:
    assert [holding.instance for holding in host.holdings()] == [instance]
    with our_pool.session() as api:
        vm = api.VM.get_by_name_label(instance.name)[0]
        config = api.VM.get_other_config(vm)
        api.VM.set_other_config(vm, {**config, "skinnybox:record": "nonsense"})
    with pytest.raises(Corrupt, match=str(instance.uuid)):
        list(host_on(our_pool, tmp_path / "state").records())
    (holding,) = host_on(our_pool, tmp_path / "state").holdings()
    assert holding.trouble and holding.overlay == instance.overlay.size
    host.close()


def test_a_suspended_machine_is_not_simply_stopped(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed
) -> None:
    host.start(instance, *sealed, Operation())
    with our_pool.database() as database:
        vm = next(ref for ref, _ in database.where("VM", name_label=instance.name))
        database.update("VM", vm, power_state="Suspended", domid=-1)
    host.wait_change(5.0)
    status = host.statuses()[instance.uuid]
    assert status.pid is None and status.reason == "suspended in the pool"
    with pytest.raises(Conflict), host.open_overlay(instance, Operation()):
        pass


def test_who_deletes_machines_with_their_disks_does_not_get_at_the_master(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance
) -> None:
    """As Ansible does it with `state: absent`: the machine first, then every disk that it had."""
    with our_pool.session() as api:
        [vm] = api.VM.get_by_name_label(instance.name)
        with pytest.raises(XenAPI.Failure) as refused:
            api.VM.destroy(vm)
    assert refused.value.details == ["OPERATION_BLOCKED", vm, build.OURS_TO_DELETE]
    host.delete(instance)
    left = [record["other_config"]["skinnybox:role"] for record in all_of(our_pool, "VDI")]
    assert "master" in left and "overlay" not in left
    assert not [vm for vm in all_of(our_pool, "VM") if vm["name_label"] == instance.name]


def test_what_an_administrator_forbids_stays_forbidden(
    our_pool: EmulatedPool, host: XapiHost, instance: Instance
) -> None:
    with our_pool.session() as api:
        [vm] = api.VM.get_by_name_label(instance.name)
        api.VM.set_blocked_operations(vm, {"destroy": "it is being looked into"})
    host.define(instance)
    with pytest.raises(Blocked, match="it is being looked into"):
        host.delete(instance)
    assert machine(our_pool, instance)["blocked_operations"]["destroy"] == "it is being looked into"
