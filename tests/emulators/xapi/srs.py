"""Storage repositories: which disks lie where, what they take, what is free, what a scan resets."""

from pathlib import Path
from typing import Any

from tests.emulators.xapi import disks, space
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.database import Record
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.space import Storage


def storage(xapi: Xapi, sr: str) -> Storage:
    """The SR's type; `allocation=thin` of its sm_config makes LVM thin, `provisioning=thick` in a PBD's
    device_config LINSTOR thick."""
    record = xapi.database.record("SR", sr)
    found = space.STORAGES[record["type"]]
    wanted = record["sm_config"].get("allocation")
    for _, pbd in xapi.database.where("PBD", SR=sr) if found.type == "linstor" else ():
        wanted = pbd["device_config"].get("provisioning")
    thin = found.thin if wanted is None else wanted == "thin"
    return Storage(type=found.type, thin=thin, lvm=found.lvm or not thin, features=found.features)


def has_feature(xapi: Xapi, sr: str, name: str) -> bool:
    return any(each.split("/")[0] == name for each in storage(xapi, sr).features)


def path(xapi: Xapi, vdi: str) -> Path:
    """The file with the disk's bytes."""
    record = xapi.database.record("VDI", vdi)
    return folder(xapi, record["SR"]) / f"{record['uuid']}.raw"


def folder(xapi: Xapi, sr: str) -> Path:
    made = xapi.scratch / str(xapi.database.get("SR", sr, "uuid"))
    made.mkdir(exist_ok=True)
    return made


def is_raw(record: Record) -> bool:
    return bool(record["sm_config"].get("type") == "raw")


def assert_plugged(xapi: Xapi, sr: str) -> None:
    if not list(xapi.database.where("PBD", SR=sr, currently_attached=True)):
        raise Failure("SR_NO_PBDS", sr)


def hosts_of(xapi: Xapi, sr: str) -> list[str]:
    """Hosts that see it now."""
    return [pbd["host"] for _, pbd in xapi.database.where("PBD", SR=sr, currently_attached=True)]


def cost(xapi: Xapi, vdi: str) -> int:
    """What the disk takes now, bytes."""
    record = xapi.database.record("VDI", vdi)
    kind = storage(xapi, record["SR"])
    file = path(xapi, vdi)
    data = (
        0 if kind.lvm or not file.exists() else disks.written(file, 4096 if is_raw(record) else space.BLOCK)
    )
    return space.taken(
        kind,
        size=record["virtual_size"],
        written=max(0, data - xapi.inherited.get(vdi, 0)),
        raw=is_raw(record),
        snapshot=record["is_a_snapshot"],
        attached=_attached_for_writing(xapi, record),
    )


def _attached_for_writing(xapi: Xapi, record: Record) -> bool:
    vbds = (xapi.database.record("VBD", each) for each in record["VBDs"])
    return any(vbd["currently_attached"] and vbd["mode"] == "RW" for vbd in vbds)


def account(xapi: Xapi, sr: str, *vdis: str) -> None:
    """Bring the utilisation fields up to date: of these disks (all, when none is named), then of the SR."""
    database = xapi.database
    everything: list[str] = database.get("SR", sr, "VDIs")
    for vdi in vdis or everything:
        database.set("VDI", vdi, "physical_utilisation", cost(xapi, vdi))
    records = [database.record("VDI", vdi) for vdi in everything]
    hidden = sum(xapi.bases.get(vdi, 0) for vdi in everything) if xapi.bases else 0
    database.update(
        "SR",
        sr,
        physical_utilisation=hidden + sum(each["physical_utilisation"] for each in records),
        virtual_allocation=sum(each["virtual_size"] for each in records),
    )


def free(xapi: Xapi, sr: str) -> int:
    """Bytes, also within what a fault leaves."""
    record = xapi.database.record("SR", sr)
    left: int = record["physical_size"] - record["physical_utilisation"]
    room: int = xapi.faults.room.get(sr, left)
    return min(left, room)


def take(xapi: Xapi, sr: str, size: int) -> None:
    """Refuse what does not fit, as a storage manager does."""
    if size > free(xapi, sr):
        raise Failure("SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")
    with xapi.faults.lock:
        if sr in xapi.faults.room:
            xapi.faults.room[sr] -= size


@implements("SR.scan")
def scan(call: Call, sr: str) -> None:
    """The storage manager knows best: it forgets read_only, and disks whose files went are gone."""
    xapi = call.xapi
    assert_plugged(xapi, sr)
    with call.operation("SR", sr, "scan"):
        is_iso = xapi.database.get("SR", sr, "content_type") == "iso"
        for vdi in list(xapi.database.get("SR", sr, "VDIs")):
            xapi.database.set("VDI", vdi, "read_only", is_iso)
            if not path(xapi, vdi).exists():
                xapi.database.destroy("VDI", vdi)
        account(xapi, sr)


@implements("SR.update")
def update(call: Call, sr: str) -> None:
    assert_plugged(call.xapi, sr)
    account(call.xapi, sr)


@implements("SR.get_supported_types")
def supported_types(call: Call) -> list[str]:
    return sorted(space.STORAGES)


@implements("SR.forget")
def forget(call: Call, sr: str) -> None:
    if hosts_of(call.xapi, sr):
        raise Failure("SR_HAS_PBD", sr)
    for vdi in list(call.database.get("SR", sr, "VDIs")):
        call.database.destroy("VDI", vdi)
    call.database.destroy("SR", sr)


@implements("SR.set_physical_size")
def set_physical_size(call: Call, sr: str, value: int) -> None:
    raise Failure("PERMISSION_DENIED", "")


@implements("PBD.plug")
def plug(call: Call, pbd: str) -> None:
    call.database.set("PBD", pbd, "currently_attached", True)


@implements("PBD.unplug")
def unplug(call: Call, pbd: str) -> None:
    """Not while a machine on that host uses a disk of the SR."""
    record = call.database.record("PBD", pbd)
    for _, vm in call.database.where("VM", resident_on=record["host"]):
        for vbd in (call.database.record("VBD", each) for each in vm["VBDs"]):
            if vbd["currently_attached"] and _sr_of(call, vbd) == record["SR"]:
                raise Failure("VDI_IN_USE", vbd["VDI"], "PBD.unplug")
    call.database.set("PBD", pbd, "currently_attached", False)


def _sr_of(call: Call, vbd: Record) -> Any:
    return None if vbd["empty"] else call.database.get("VDI", vbd["VDI"], "SR")
