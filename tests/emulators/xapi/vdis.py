"""Virtual disks: create, clone, snapshot, copy, resize, destroy, and when each is refused."""

import datetime
from typing import Any

from tests.emulators.xapi import disks, space, srs
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL

_FEATURE = {
    "snapshot": "VDI_SNAPSHOT",
    "destroy": "VDI_DELETE",
    "resize": "VDI_RESIZE",
    "clone": "VDI_CLONE",
    "update": "VDI_UPDATE",
    "set_on_boot": "VDI_RESET_ON_BOOT",
}
_LIVE = {"snapshot", "clone", "blocked", "mirror"}
_CHECKED = ("snapshot", "clone", "copy", "resize", "destroy", "forget", "update", "set_on_boot", "blocked")


def refusal(xapi: Xapi, vdi: str, operation: str) -> Failure | None:
    """Why `operation` is not possible now, in xapi's order; None when it is."""
    record = xapi.database.record("VDI", vdi)
    busy = next(((key, each) for key, each in record["current_operations"].items() if each != "copy"), None)
    if busy:
        return Failure("OTHER_OPERATION_IN_PROGRESS", "VDI", vdi, busy[1], busy[0])
    if operation == "resize" and not srs.hosts_of(xapi, record["SR"]):
        return Failure("SR_NO_PBDS", record["SR"])
    return (
        _attached(xapi, vdi, operation)
        or _without_feature(xapi, record["SR"], operation)
        or _by_its_flags(vdi, record, operation)
    )


def _attached(xapi: Xapi, vdi: str, operation: str) -> Failure | None:
    """A copy goes on beside readers, a snapshot or clone beside anybody, all else needs the disk alone."""
    vbds = [xapi.database.record("VBD", each) for each in xapi.database.get("VDI", vdi, "VBDs")]
    active = [vbd for vbd in vbds if vbd["currently_attached"]]
    writers = [vbd for vbd in active if vbd["mode"] == "RW"]
    in_the_way = [] if operation in _LIVE else writers if operation == "copy" else active
    return Failure("VDI_IN_USE", vdi, operation) if in_the_way else None


def _without_feature(xapi: Xapi, sr: str, operation: str) -> Failure | None:
    feature = _FEATURE.get(operation)
    if feature is None or srs.has_feature(xapi, sr, feature):
        return None
    return Failure("SR_OPERATION_NOT_SUPPORTED", sr)


def _by_its_flags(vdi: str, record: dict[str, Any], operation: str) -> Failure | None:
    if operation == "snapshot" and record["sharable"]:
        return Failure("VDI_IS_SHARABLE", vdi)
    if operation in {"snapshot", "copy"} and record["on_boot"] == "reset":
        return Failure("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")
    if operation == "destroy" and record["type"] == "rrd":
        return Failure("VDI_HAS_RRDS", vdi)
    return None


def check(xapi: Xapi, vdi: str, operation: str) -> None:
    found = refusal(xapi, vdi, operation)
    if found:
        raise found


def refresh(xapi: Xapi, vdi: str) -> None:
    allowed = [each for each in _CHECKED if refusal(xapi, vdi, each) is None]
    xapi.database.set("VDI", vdi, "allowed_operations", allowed)


@implements("VDI.create")
def create(call: Call, values: dict[str, Any]) -> str:
    xapi, sr = call.xapi, values["SR"]
    if values["type"] == "cbt_metadata":
        raise Failure("VDI_INCOMPATIBLE_TYPE", "", "cbt_metadata")
    xapi.database.record("SR", sr)
    srs.assert_plugged(xapi, sr)
    if not srs.has_feature(xapi, sr, "VDI_CREATE"):
        raise Failure("SR_OPERATION_NOT_SUPPORTED", sr)
    kind, raw = srs.storage(xapi, sr), values.get("sm_config", {}).get("type") == "raw"
    size = space.round_up(values["virtual_size"], 512 if raw and not kind.lvm else space.BLOCK)
    _assert_size(size)
    with call.operation("SR", sr, "vdi_create"):
        srs.take(
            xapi,
            sr,
            space.taken(kind, size=size, written=0, raw=raw, snapshot=False, attached=False),
        )
        return _made(xapi, {**values, "virtual_size": size}, raw=raw)


def _assert_size(size: int) -> None:
    if not 0 < size <= space.LARGEST:
        raise Failure("SR_BACKEND_FAILURE_79", "", f"VDI Invalid size [opterr={size}]", "")


def _made(xapi: Xapi, values: dict[str, Any], *, raw: bool) -> str:
    """The record and its file. Only a raw volume of LVM shows what was there before; a VHD reads as zeros."""
    vdi = xapi.database.create("VDI", {**values, "managed": True})
    record = xapi.database.record("VDI", vdi)
    record["location"] = record["uuid"]
    file, size = srs.path(xapi, vdi), record["virtual_size"]
    always = xapi.database.get("SR", values["SR"], "other_config").get("emulator-dirty") == "true"
    if always or (raw and srs.storage(xapi, values["SR"]).lvm):
        disks.dirty(file, size, next(file.parent.glob("*.freed"), None))
    else:
        disks.blank(file, size)
    _require_stopped(xapi, vdi)
    return vdi


def _require_stopped(xapi: Xapi, vdi: str) -> None:
    srs.account(xapi, xapi.database.get("VDI", vdi, "SR"), vdi)
    refresh(xapi, vdi)


@implements("VDI.destroy")
def destroy(call: Call, vdi: str) -> None:
    """Nothing but an attached VBD stands in its way: a halted machine's VBD goes with the disk."""
    xapi = call.xapi
    record = xapi.database.record("VDI", vdi)
    sr = record["SR"]
    srs.assert_plugged(xapi, sr)
    check(xapi, vdi, "destroy")
    with call.operation("VDI", vdi, "destroy"):
        file = srs.path(xapi, vdi)
        for vbd in list(record["VBDs"]):
            xapi.database.destroy("VBD", vbd)
        xapi.database.destroy("VDI", vdi)
        xapi.inherited.pop(vdi, None)
        xapi.bases.pop(vdi, None)
        if srs.storage(xapi, sr).lvm:
            file.rename(file.with_suffix(".freed"))
        else:
            file.unlink()
    srs.account(xapi, sr)


@implements("VDI.forget")
def forget(call: Call, vdi: str) -> None:
    check(call.xapi, vdi, "forget")
    call.database.destroy("VDI", vdi)


@implements("VDI.clone")
def clone(call: Call, vdi: str, driver_params: dict[str, str] | None = None) -> str:
    """A new disk on the same parent: dear on thick LVM, where it is a whole volume. A raw disk is copied."""
    check(call.xapi, vdi, "clone")
    with call.operation("VDI", vdi, "clone"):
        return branch(call, vdi, snapshot=False)


@implements("VDI.snapshot")
def snapshot(call: Call, vdi: str, driver_params: dict[str, str] | None = None) -> str:
    record = call.database.record("VDI", vdi)
    check(call.xapi, vdi, "snapshot")
    if srs.is_raw(record):
        raise Failure("UNIMPLEMENTED_IN_SM_BACKEND", record["SR"])
    with call.operation("VDI", vdi, "snapshot"):
        return branch(call, vdi, snapshot=True)


def branch(call: Call, vdi: str, *, snapshot: bool) -> str:
    """A clone or snapshot, unchecked. A raw disk has no parent to share: its clone is a full copy, a VHD."""
    xapi = call.xapi
    record = xapi.database.record("VDI", vdi)
    sr, kind, raw = record["SR"], srs.storage(xapi, record["SR"]), srs.is_raw(record)
    srs.assert_plugged(xapi, sr)
    size, data = record["virtual_size"], disks.written(srs.path(xapi, vdi), space.BLOCK)
    base = space.round_up(data + space.empty_overhead(size), space.EXTENT) if kind.lvm and not raw else 0
    own = space.taken(
        kind, size=size, written=data if raw else 0, raw=False, snapshot=snapshot, attached=False
    )
    srs.take(xapi, sr, own + base)
    new = _copied_record(xapi, vdi, snapshot=snapshot, **({"sm_config": {}, "tags": []} if raw else {}))
    if not raw:
        xapi.bases[new] = base
        xapi.inherited[new] = 0 if kind.lvm else data
    _copy_bytes(call, vdi, new)
    _require_stopped(xapi, new)
    return new


def _copied_record(xapi: Xapi, vdi: str, *, snapshot: bool, **changed: Any) -> str:
    record = xapi.database.record("VDI", vdi)
    kept: tuple[str, ...] = ("name_label", "name_description", "SR", "virtual_size", "type", "sharable")
    kept += ("other_config", "xenstore_data", "on_boot", "allow_caching", "tags", "sm_config")
    values = {name: record[name] for name in kept} | changed
    if snapshot:
        moment = datetime.datetime.now(datetime.UTC)
        values |= {"is_a_snapshot": True, "snapshot_of": vdi, "snapshot_time": moment}
    new = xapi.database.create("VDI", {**values, "managed": True})
    made = xapi.database.record("VDI", new)
    made["location"] = made["uuid"]
    disks.blank(srs.path(xapi, new), made["virtual_size"])
    return new


def _copy_bytes(call: Call, source: str, target: str) -> None:
    """Others may call meanwhile."""
    paths = srs.path(call.xapi, source), srs.path(call.xapi, target)
    with call.xapi.unlocked():
        disks.copy(*paths)


@implements("VDI.copy")
def copy(call: Call, vdi: str, sr: str = NULL, base_vdi: str = NULL, into_vdi: str = NULL) -> str:
    """A full copy, into a new disk on `sr` or into `into_vdi`."""
    xapi = call.xapi
    check(xapi, vdi, "copy")
    record = xapi.database.record("VDI", vdi)
    with call.operation("VDI", vdi, "copy"):
        target = into_vdi
        if into_vdi == NULL:
            srs.assert_plugged(xapi, sr)
            kind, data = srs.storage(xapi, sr), disks.written(srs.path(xapi, vdi), space.BLOCK)
            size = record["virtual_size"]
            cost = space.taken(kind, size=size, written=data, raw=False, snapshot=False, attached=True)
            srs.take(xapi, sr, cost)
            target = _copied_record(xapi, vdi, snapshot=False, SR=sr, sm_config={})
        _assert_target(xapi, target, record["virtual_size"])
        _copy_bytes(call, vdi, target)
    _require_stopped(xapi, target)
    return target


def _assert_target(xapi: Xapi, vdi: str, size: int) -> None:
    record = xapi.database.record("VDI", vdi)
    if record["read_only"]:
        raise Failure("VDI_READONLY", vdi)
    if record["virtual_size"] < size:
        raise Failure("VDI_TOO_SMALL", vdi, size)


@implements("VDI.resize", "VDI.resize_online")
def resize(call: Call, vdi: str, size: int) -> None:
    """Only larger, and only while nobody has it attached (no storage manager here resizes online)."""
    xapi = call.xapi
    check(xapi, vdi, "resize")
    record = xapi.database.record("VDI", vdi)
    wanted = space.round_up(size, space.BLOCK)
    _assert_size(wanted)
    if wanted < record["virtual_size"]:
        raise Failure("SR_BACKEND_FAILURE_79", "", "VDI Invalid size [opterr=shrinking not allowed]", "")
    with call.operation("VDI", vdi, "resize"):
        kind, raw = srs.storage(xapi, record["SR"]), srs.is_raw(record)
        before = srs.cost(xapi, vdi)
        data = (
            before if not kind.lvm and raw else max(0, before - space.empty_overhead(record["virtual_size"]))
        )
        after = space.taken(kind, size=wanted, written=data, raw=raw, snapshot=False, attached=False)
        srs.take(xapi, record["SR"], max(0, after - before))
        with srs.path(xapi, vdi).open("r+b") as file:
            file.truncate(wanted)
        xapi.database.set("VDI", vdi, "virtual_size", wanted)
    _require_stopped(xapi, vdi)


@implements("VDI.set_on_boot")
def set_on_boot(call: Call, vdi: str, value: str) -> None:
    check(call.xapi, vdi, "set_on_boot")
    call.database.set("VDI", vdi, "on_boot", value)
    refresh(call.xapi, vdi)


@implements("VDI.update")
def update(call: Call, vdi: str) -> None:
    _require_stopped(call.xapi, vdi)


@implements(
    "VDI.set_sharable",
    "VDI.set_read_only",
)
def internal(call: Call, vdi: str, value: object) -> None:
    """Only the storage manager's own sessions may: both are given at creation, or never."""
    raise Failure("PERMISSION_DENIED", "")


@implements("VDI.get_nbd_info")
def nbd_info(call: Call, vdi: str) -> list[Any]:
    """No network of the pool has the purpose `nbd`."""
    call.database.record("VDI", vdi)
    return []
