"""Machines: their states, what is allowed in each, templates and copies, memory, cards, hosts."""

from collections.abc import Callable

import pytest

from tests.emulators.xapi import EmulatedPool
from tests.xapi import records
from tests.xapi.conftest import Place

Refused = Callable[..., list[str]]


def test_power(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    assert refused(api.VM.clean_shutdown, vm) == ["VM_BAD_POWER_STATE", vm, "running", "halted"]
    api.VM.start(vm, True, False)
    assert api.VM.get_power_state(vm) == "Paused"
    api.VM.unpause(vm)
    record = api.VM.get_record(vm)
    assert record["power_state"] == "Running" and record["resident_on"] in place.pool.hosts
    assert "hard_shutdown" in record["allowed_operations"] and "start" not in record["allowed_operations"]
    assert "clean_shutdown" not in record["allowed_operations"], "no guest agent has said it can"
    assert refused(api.VM.destroy, vm)[0] == "VM_BAD_POWER_STATE"
    api.VM.clean_reboot(vm)
    api.VM.suspend(vm)
    assert refused(api.VM.start, vm, False, False)[3] == "suspended"
    api.VM.resume(vm, False, False)
    api.VM.hard_shutdown(vm)
    assert api.VM.get_power_state(vm) == "Halted"
    api.VM.destroy(vm)


def test_blocked_operations(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    api.VM.add_to_blocked_operations(vm, "clone", "skinnybox")
    assert refused(api.VM.clone, vm, "other") == ["OPERATION_BLOCKED", vm, "skinnybox"]
    assert "clone" not in api.VM.get_allowed_operations(vm)
    assert refused(api.VM.add_to_blocked_operations, vm, "breathe", "x")[0] == "FIELD_TYPE_ERROR"


def test_a_template_is_no_machine(place: Place, refused: Refused) -> None:
    api = place.api
    assert refused(api.VM.start, place.template, False, False) == ["VM_IS_TEMPLATE", place.template, "start"]
    vm = api.VM.clone(place.template, "web")
    assert api.VM.get_is_a_template(vm)
    assert api.VM.get_other_config(vm)["base_template_name"] == "Debian"
    api.VM.provision(vm)
    assert not api.VM.get_is_a_template(vm)
    assert refused(api.VM.provision, vm) == ["ONLY_PROVISION_TEMPLATE"]
    stock = place.pool.add_template("stock", default=True)
    assert refused(api.VM.destroy, stock)[0] == "VM_IS_TEMPLATE"


def test_provision_makes_the_disks_that_are_ordered(place: Place, refused: Refused) -> None:
    api = place.api
    vm = api.VM.clone(place.pool.add_template("stock", disk_size=1 << 30, default=True), "web")
    assert refused(api.VM.provision, vm) == ["UUID_INVALID", "sr", ""]
    vm = api.VM.clone(place.pool.add_template("again", disk_size=1 << 30, default=True), "web")
    disks = api.VM.get_other_config(vm)["disks"].replace('sr=""', f'sr="{api.SR.get_uuid(place.thin)}"')
    api.VM.remove_from_other_config(vm, "disks")
    api.VM.add_to_other_config(vm, "disks", disks)
    api.VM.provision(vm)
    (vbd,) = api.VM.get_VBDs(vm)
    assert api.VDI.get_virtual_size(api.VBD.get_VDI(vbd)) == str(1 << 30)
    assert "disks" not in api.VM.get_other_config(vm)


def test_copies_take_every_disk_but_cds_along(place: Place, refused: Refused) -> None:
    api, vm, master, overlay = place.api, place.machine(), place.disk(), place.disk()
    place.drive(vm, master, "0", "RO")
    place.drive(vm, overlay, "1")
    place.drive(vm, master, "3", "RO", type="CD")
    copies = (
        api.VM.clone(vm, "clone"),
        api.VM.copy(vm, "copy", "OpaqueRef:NULL"),
        api.VM.snapshot(vm, "snap", []),
    )
    for copy in copies:
        drives = [api.VBD.get_record(each) for each in api.VM.get_VBDs(copy)]
        disks = {each["VDI"] for each in drives if each["type"] == "Disk"}
        assert len(disks) == 2 and not disks & {master, overlay}
        assert [each["VDI"] for each in drives if each["type"] == "CD"] == [master]
        assert api.VM.get_blocked_operations(copy) == {}
    assert api.VM.get_is_a_snapshot(copies[2]) and api.VM.get_snapshot_of(copies[2]) == vm
    spared = api.VM.snapshot(vm, "spared", [master])
    assert len(api.VM.get_VBDs(spared)) == 1
    assert refused(api.VM.start, copies[2], False, False)[0] == "VM_IS_SNAPSHOT"


def test_what_was_copied_is_deleted_when_a_later_disk_fails(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    place.drive(vm, place.disk(), "0")
    place.drive(vm, place.disk(place.thick), "1")
    before = set(api.VDI.get_all())
    place.pool.faults.fill(place.thick, 0)
    assert refused(api.VM.clone, vm, "clone")[0] == "SR_BACKEND_FAILURE_44"
    assert set(api.VDI.get_all()) == before and not api.VM.get_by_name_label("clone")


def test_destroy_leaves_the_disks(place: Place) -> None:
    api, vm, disk = place.api, place.machine(), place.disk()
    vbd = place.drive(vm, disk, "0")
    api.VM.destroy(vm)
    assert disk in api.VDI.get_all() and vbd not in api.VBD.get_all()
    assert api.VDI.get_VBDs(disk) == []


def test_memory_and_processors_keep_their_order(place: Place, refused: Refused) -> None:
    api, vm, mib = place.api, place.machine(), 1 << 20
    limits = [str(each * mib) for each in (128, 512, 256, 512)]
    api.VM.set_memory_limits(vm, *limits)
    wrong = [str(each * mib) for each in (256, 512, 128, 512)]
    assert refused(api.VM.set_memory_limits, vm, *wrong) == ["MEMORY_CONSTRAINT_VIOLATION_ORDER"]
    assert refused(api.VM.set_memory_static_max, vm, str(300 * mib)) == ["MEMORY_CONSTRAINT_VIOLATION_ORDER"]
    assert refused(api.VM.set_VCPUs_at_startup, vm, "4")[0] == "INVALID_VALUE"
    api.VM.set_VCPUs_max(vm, "4")
    api.VM.set_VCPUs_at_startup(vm, "4")
    assert refused(api.VM.set_VCPUs_max, vm, "2")[0] == "INVALID_VALUE"
    api.VM.start(vm, False, False)
    assert refused(api.VM.set_VCPUs_max, vm, "8")[0] == "VM_BAD_POWER_STATE"


def test_without_a_licence_for_dynamic_memory_all_limits_are_one(refused: Refused) -> None:
    with EmulatedPool(dynamic_memory=False) as pool, pool.session() as api:
        template = pool.add_template("T")
        assert refused(api.VM.set_memory_dynamic_min, template, str(300 << 20))[0].endswith("MAXPIN")
        api.VM.set_memory(template, str(300 << 20))
        assert api.VM.get_memory_static_max(template) == str(300 << 20)


def test_cards_and_their_addresses(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    vif = api.VIF.create(records.card(vm, place.network))
    assert api.VIF.get_MAC_autogenerated(vif) and int(api.VIF.get_MAC(vif)[:2], 16) & 2
    assert refused(api.VIF.create, records.card(vm, place.network)) == ["DEVICE_ALREADY_EXISTS", "0"]
    assert refused(api.VIF.create, records.card(vm, place.network, device="x"))[0] == "INVALID_DEVICE"
    odd = records.card(vm, place.network, device="1", MAC="02:00")
    assert refused(api.VIF.create, odd) == ["MAC_INVALID", "02:00"]
    copy = api.VM.clone(vm, "other")
    (other,) = api.VM.get_VIFs(copy)
    assert api.VIF.get_MAC(other) != api.VIF.get_MAC(vif)
    assert api.VM.get_allowed_VIF_devices(vm)[0] == "1"


def test_where_a_machine_can_start(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    alpha, beta = place.pool.hosts
    assert set(api.VM.get_possible_hosts(vm)) == {alpha, beta}
    place.drive(vm, place.disk(place.thick), "0")
    assert api.VM.get_possible_hosts(vm) == [alpha], "the disk is on storage of one host"
    assert refused(api.VM.assert_can_boot_here, vm, beta) == ["VM_REQUIRES_SR", vm, place.thick]
    api.host.disable(alpha)
    assert refused(api.VM.start, vm, False, False) == ["NO_HOSTS_AVAILABLE"]
    api.host.enable(alpha)
    api.VM.set_memory(vm, str(100 << 30))
    assert refused(api.VM.start_on, vm, alpha, False, False)[0] == "HOST_NOT_ENOUGH_FREE_MEMORY"


def test_create_from_a_record(place: Place) -> None:
    loader = ("bootloader", "kernel", "ramdisk", "args", "bootloader_args", "legacy_args")
    limits = ("static_max", "dynamic_max", "dynamic_min", "static_min")
    text = {f"PV_{each}": "" for each in loader}
    memory = {f"memory_{each}": str(1 << 29) for each in limits}
    ends = {f"actions_after_{each}": "restart" for each in ("shutdown", "reboot", "crash")}
    ends["actions_after_shutdown"] = "destroy"
    vm = place.api.VM.create(
        {
            **text, **memory, **ends, "name_label": "bare", "user_version": "1", "is_a_template": False,
            "affinity": "OpaqueRef:NULL", "VCPUs_params": {}, "VCPUs_max": "1", "VCPUs_at_startup": "1",
            "HVM_boot_policy": "BIOS order", "HVM_boot_params": {"firmware": "uefi"}, "platform": {},
            "PCI_bus": "", "other_config": {}, "recommendations": "", "blocked_operations": {"clone": "no"},
        }
    )  # fmt: skip
    record = place.api.VM.get_record(vm)
    assert record["domain_type"] == "hvm" and "mac_seed" in record["other_config"]
    assert record["blocked_operations"] == {}, "xapi drops what is given at creation"


@pytest.mark.parametrize("agent", [False, True])
def test_a_guest_that_speaks_is_shown(place: Place, agent: bool) -> None:
    api, vm = place.api, place.machine()
    api.VM.start(vm, False, False)
    assert api.VM.get_guest_metrics(vm) == "OpaqueRef:NULL"
    place.pool.guest_writes(
        vm, {"data/ts": "1 ready", "attr/vif/0/ipv4/0": "10.0.0.7", "data/skinnybox": "x"}
    )
    assert api.VM.get_guest_metrics(vm) == "OpaqueRef:NULL", "not before data/updated"
    place.pool.guest_writes(vm, {"data/updated": "1", **({"control/feature-shutdown": "1"} if agent else {})})
    metrics = api.VM_guest_metrics.get_record(api.VM.get_guest_metrics(vm))
    assert metrics["other"] == {"data-ts": "1 ready", **({"feature-shutdown": "1"} if agent else {})}
    assert metrics["networks"] == {"0/ip": "10.0.0.7", "0/ipv4/0": "10.0.0.7"}
    assert ("clean_shutdown" in api.VM.get_allowed_operations(vm)) is agent
    api.VM.hard_reboot(vm)
    assert api.VM.get_guest_metrics(vm) == "OpaqueRef:NULL"


def test_a_function_can_stand_for_the_guest(refused: Refused) -> None:
    started: list[str] = []
    with EmulatedPool(guest=lambda xapi, vm: started.append(vm)) as pool, pool.session() as api:
        vm = api.VM.clone(pool.add_template("T"), "web")
        api.VM.provision(vm)
        api.VM.start(vm, False, False)
        api.VM.clean_reboot(vm)
    assert started == [vm, vm]
