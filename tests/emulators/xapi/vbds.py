"""A machine's disks and CD drives: create, plug, unplug, insert, eject."""

from typing import Any

from tests.emulators.xapi import device_numbers, sharing, srs, vdis
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL

_TYPES = {"system", "user", "ephemeral", "suspend", "crashdump", "metadata", "rrd", "pvs_cache"}
_OPERATIONS = ("attach", "plug", "unplug", "unplug_force", "insert", "eject", "pause", "unpause")


@implements("VBD.create")
def create(call: Call, values: dict[str, Any]) -> str:
    xapi, vm, vdi = call.xapi, values["VM"], values["VDI"]
    xapi.database.record("VM", vm)
    _assert_sane(xapi, values)
    _assert_not_migrating(xapi, vm)
    sharing.assert_agile(xapi, vm, NULL if values["empty"] else vdi)
    made = {
        **values,
        "VDI": NULL if values["empty"] else vdi,
        "userdevice": _place(xapi, vm, values["userdevice"]),
        "device": "",
        "currently_attached": False,
    }
    call.work()
    vbd = xapi.database.create("VBD", made)
    refresh(xapi, vbd)
    return vbd


def _assert_sane(xapi: Xapi, values: dict[str, Any]) -> None:
    vdi, is_cd = values["VDI"], values["type"] == "CD"
    if not values["empty"]:
        type_ = xapi.database.get("VDI", vdi, "type")
        if type_ not in _TYPES:
            raise Failure("VDI_INCOMPATIBLE_TYPE", vdi, type_)
    if is_cd and values["mode"] != "RO":
        raise Failure("VBD_CDS_MUST_BE_READONLY")
    if not is_cd and values["empty"]:
        raise Failure("VBD_NOT_REMOVABLE_MEDIA", "in constructor")
    if not values["empty"] and values["mode"] == "RW" and xapi.database.get("VDI", vdi, "read_only"):
        raise Failure("VDI_READONLY", vdi)


def _assert_not_migrating(xapi: Xapi, vm: str) -> None:
    for task, operation in xapi.database.get("VM", vm, "current_operations").items():
        if operation in {"migrate_send", "pool_migrate"}:
            raise Failure("OTHER_OPERATION_IN_PROGRESS", "VM", vm, operation, task)


def _used(xapi: Xapi, vm: str) -> set[int]:
    names = []
    for vbd in xapi.database.get("VM", vm, "VBDs"):
        record = xapi.database.record("VBD", vbd)
        names += [record["userdevice"], record["device"]]
    return {number for name in names if (number := device_numbers.number(name)) is not None}


def _place(xapi: Xapi, vm: str, wanted: str) -> str:
    """`autodetect` resolved; INVALID_DEVICE, or DEVICE_ALREADY_EXISTS under whichever of its names."""
    used = _used(xapi, vm)
    if wanted == "autodetect":
        free = next((each for each in range(device_numbers.HIGHEST + 1) if each not in used), None)
        if free is None:
            raise Failure("INVALID_DEVICE", wanted)
        return str(free)
    number = device_numbers.number(wanted)
    if number is None or number > device_numbers.HIGHEST:
        raise Failure("INVALID_DEVICE", wanted)
    if number in used:
        raise Failure("DEVICE_ALREADY_EXISTS", wanted)
    return wanted


@implements("VM.get_allowed_VBD_devices")
def allowed_devices(call: Call, vm: str) -> list[str]:
    used = _used(call.xapi, vm)
    return [str(each) for each in range(device_numbers.HIGHEST + 1) if each not in used]


@implements("VBD.destroy")
def destroy(call: Call, vbd: str) -> None:
    record = call.database.record("VBD", vbd)
    if record["currently_attached"]:
        machine = call.database.get("VM", record["VM"], "uuid")
        raise Failure("OPERATION_NOT_ALLOWED", f"VBD '{record['uuid']}' still attached to '{machine}'")
    call.work()
    call.database.destroy("VBD", vbd)


def refusal(xapi: Xapi, vbd: str, operation: str) -> Failure | None:
    """Why `operation` is not possible now, in xapi's order; None when it is."""
    record = xapi.database.record("VBD", vbd)
    for task, each in record["current_operations"].items():
        return Failure("OTHER_OPERATION_IN_PROGRESS", "VBD", vbd, each, task)
    return (
        _by_its_drive(vbd, record, operation)
        or _by_power(xapi, vbd, record, operation)
        or (sharing.refusal(xapi, vbd) if operation in {"attach", "plug", "insert"} else None)
    )


def _by_its_drive(vbd: str, record: dict[str, Any], operation: str) -> Failure | None:
    plugging = operation in {"plug", "unplug", "unplug_force"}
    if not record["unpluggable"] and plugging and operation != "plug":
        return Failure("VBD_NOT_UNPLUGGABLE", vbd)
    if operation in {"insert", "eject"} and record["type"] != "CD":
        return Failure("VBD_NOT_REMOVABLE_MEDIA", vbd)
    if operation == "eject" and record["empty"]:
        return Failure("VBD_IS_EMPTY", vbd)
    if operation == "insert" and not record["empty"]:
        return Failure("VBD_NOT_EMPTY", vbd)
    return None


def _by_power(xapi: Xapi, vbd: str, record: dict[str, Any], operation: str) -> Failure | None:
    machine = xapi.database.record("VM", record["VM"])
    state, plugging = machine["power_state"], operation in {"plug", "unplug", "unplug_force"}
    if operation in {"pause", "unpause"}:
        return Failure("SR_OPERATION_NOT_SUPPORTED", vbd)
    if plugging and state != "Running":
        return Failure("VM_BAD_POWER_STATE", record["VM"], "running", state.lower())
    if operation == "plug" and record["currently_attached"]:
        return Failure("DEVICE_ALREADY_ATTACHED", vbd)
    if plugging and operation != "plug" and not record["currently_attached"]:
        return Failure("DEVICE_ALREADY_DETACHED", vbd)
    if plugging and machine["domain_type"] == "hvm" and record["type"] == "CD":
        reason = "HVM CDROMs cannot be hotplugged/unplugged, only inserted or ejected"
        return Failure("OPERATION_NOT_ALLOWED", reason)
    if operation in {"insert", "eject"} and state == "Suspended":
        return Failure("VM_BAD_POWER_STATE", record["VM"], "halted, running", "suspended")
    return None


def check(xapi: Xapi, vbd: str, operation: str) -> None:
    found = refusal(xapi, vbd, operation)
    if found:
        raise found


def refresh(xapi: Xapi, vbd: str) -> None:
    """allowed_operations of the VBD, without the sharing checks, and of its disk."""
    allowed = []
    for operation in _OPERATIONS:
        found = refusal(xapi, vbd, operation)
        if found is None or found.code in {"VDI_IN_USE", "VDI_READONLY"}:
            allowed.append(operation)
    xapi.database.set("VBD", vbd, "allowed_operations", allowed)
    vdi = xapi.database.get("VBD", vbd, "VDI")
    if vdi != NULL:
        vdis.refresh(xapi, vdi)


def attach(xapi: Xapi, vbd: str, *, attached: bool) -> None:
    """Record it, and what the disk takes then."""
    record = xapi.database.record("VBD", vbd)
    place = device_numbers.number(record["userdevice"]) or 0
    device = device_numbers.linux(place) if attached else record["device"]
    xapi.database.update("VBD", vbd, currently_attached=attached, device=device)
    refresh(xapi, vbd)
    if not record["empty"]:
        srs.account(xapi, xapi.database.get("VDI", record["VDI"], "SR"), record["VDI"])


@implements("VBD.plug")
def plug(call: Call, vbd: str) -> None:
    """The only place where a read-only disk is refused to an HVM machine."""
    check(call.xapi, vbd, "plug")
    record = call.database.record("VBD", vbd)
    hvm = call.database.get("VM", record["VM"], "domain_type") == "hvm"
    if hvm and record["type"] != "CD" and record["mode"] == "RO":
        raise Failure("DISK_VBD_MUST_BE_READWRITE_FOR_HVM", vbd)
    if record["VM"] in call.xapi.machines:
        raise Failure("NOT_IMPLEMENTED", "VBD.plug of a machine that the emulator really boots")
    with call.operation("VBD", vbd, "plug"):
        pass
    attach(call.xapi, vbd, attached=True)


@implements("VBD.unplug", "VBD.unplug_force")
def unplug(call: Call, vbd: str) -> None:
    check(call.xapi, vbd, "unplug")
    if call.database.get("VBD", vbd, "VM") in call.xapi.machines:
        raise Failure("NOT_IMPLEMENTED", "VBD.unplug of a machine that the emulator really boots")
    with call.operation("VBD", vbd, "unplug"):
        pass
    attach(call.xapi, vbd, attached=False)


@implements("VBD.insert")
def insert(call: Call, vbd: str, vdi: str) -> None:
    check(call.xapi, vbd, "insert")
    sharing.assert_agile(call.xapi, call.database.get("VBD", vbd, "VM"), vdi)
    call.database.update("VBD", vbd, VDI=vdi, empty=False)
    refresh(call.xapi, vbd)


@implements("VBD.eject")
def eject(call: Call, vbd: str) -> None:
    check(call.xapi, vbd, "eject")
    call.database.update("VBD", vbd, VDI=NULL, empty=True)
    refresh(call.xapi, vbd)


@implements("VBD.set_mode")
def set_mode(call: Call, vbd: str, value: str) -> None:
    vm = call.database.get("VBD", vbd, "VM")
    state = call.database.get("VM", vm, "power_state")
    if state != "Halted":
        raise Failure("VM_BAD_POWER_STATE", vm, "halted", state.lower())
    call.database.set("VBD", vbd, "mode", value)


@implements("VBD.assert_attachable")
def assert_attachable(call: Call, vbd: str) -> None:
    check(call.xapi, vbd, "attach")
