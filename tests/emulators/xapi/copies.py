"""VM.clone, copy and snapshot: every disk is copied along, read-only ones too; only CDs stay the same."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.emulators.xapi import lifecycle, srs, vbds, vdis, vifs
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import EPOCH, NULL

OWNER = "owner"
_NOT_COPIED = {
    "uuid", "VBDs", "VIFs", "consoles", "snapshots", "children", "resident_on", "metrics", "guest_metrics",
    "blocked_operations", "current_operations", "allowed_operations", "domid", "snapshot_of", "parent",
    "snapshot_time", "suspend_VDI", "scheduled_to_be_resident_on", "attached_PCIs", "VTPMs", "VGPUs", "VUSBs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """`copy` makes the new disk of an old one's reference."""

    operation: str
    copy: Callable[[str], str]
    ignored: tuple[str, ...] = ()

    @property
    def is_snapshot(self) -> bool:
        return self.operation == "snapshot"


@implements("VM.clone")
def clone(call: Call, vm: str, name: str) -> str:
    return _copied(call, vm, name, Plan("clone", lambda vdi: _checked(call, vdi, "clone")))


@implements("VM.copy")
def copy(call: Call, vm: str, name: str, sr: str) -> str:
    if sr != NULL and call.database.get("SR", sr, "content_type") == "iso":
        raise Failure("OPERATION_NOT_ALLOWED", "Cannot copy a VM's disks to an ISO SR")

    def full(vdi: str) -> str:
        target = sr if sr != NULL else call.database.get("VDI", vdi, "SR")
        made: str = vdis.copy(call, vdi, target)
        return made

    return _copied(call, vm, name, Plan("copy", full))


@implements("VM.snapshot")
def snapshot(call: Call, vm: str, name: str, ignored: list[str] | None = None) -> str:
    plan = Plan("snapshot", lambda vdi: _checked(call, vdi, "snapshot"), tuple(ignored or ()))
    return _copied(call, vm, name, plan)


def _checked(call: Call, vdi: str, operation: str) -> str:
    vdis.check(call.xapi, vdi, operation)
    if operation == "snapshot" and srs.is_raw(call.database.record("VDI", vdi)):
        raise Failure("UNIMPLEMENTED_IN_SM_BACKEND", call.database.get("VDI", vdi, "SR"))
    return vdis.branch(call, vdi, snapshot=operation == "snapshot")


def _copied(call: Call, vm: str, name: str, plan: Plan) -> str:
    """All disks first; what was copied is deleted again when one fails."""
    lifecycle.check(call.xapi, vm, plan.operation)
    made: list[str] = []
    with call.operation("VM", vm, plan.operation):
        try:
            pairs = _disks(call, vm, plan, made)
        except Failure:
            for vdi in made:
                vdis.destroy(call, vdi)
            raise
        new = _record(call.xapi, vm, name, plan)
        for vbd, vdi in pairs:
            attach(call.xapi, new, vbd, vdi)
        for vif in call.database.get("VM", vm, "VIFs"):
            _vif(call.xapi, new, vif, keep_mac=plan.is_snapshot)
    if plan.is_snapshot:
        call.database.set("VM", vm, "parent", new)
    lifecycle.refresh(call.xapi, new, devices=True)
    return new


def _disks(call: Call, vm: str, plan: Plan, made: list[str]) -> list[tuple[str, str]]:
    """(VBD, its disk for the new machine) of all; new disks are also put into `made`."""
    pairs = []
    for vbd in list(call.database.get("VM", vm, "VBDs")):
        record = call.database.record("VBD", vbd)
        if record["VDI"] in plan.ignored and plan.is_snapshot:
            continue
        if record["empty"] or record["type"] == "CD":
            pairs.append((vbd, record["VDI"]))
            continue
        new = plan.copy(record["VDI"])
        made.append(new)
        pairs.append((vbd, new))
    return pairs


def _record(xapi: Xapi, vm: str, name: str, plan: Plan) -> str:
    old = xapi.database.record("VM", vm)
    values: dict[str, Any] = {key: value for key, value in old.items() if key not in _NOT_COPIED}
    values |= {
        "name_label": name,
        "power_state": "Halted",
        "is_a_template": plan.is_snapshot or old["is_a_template"],
        "is_default_template": False,
        "is_a_snapshot": plan.is_snapshot,
        "snapshot_of": vm if plan.is_snapshot else NULL,
        "snapshot_time": datetime.datetime.now(datetime.UTC) if plan.is_snapshot else EPOCH,
        "other_config": _other_config(old, keep_seed=plan.is_snapshot),
        "generation_id": f"{uuid4().int >> 64}:{uuid4().int >> 64}" if old["generation_id"] else "",
        "metrics": xapi.database.create("VM_metrics", {"current_domain_type": "unspecified"}),
        "domid": -1,
    }
    return xapi.database.create("VM", values)


def _other_config(old: dict[str, Any], *, keep_seed: bool) -> dict[str, str]:
    """A new mac_seed; no longer a default template; of which template it came stays known."""
    kept = dict(old["other_config"])
    kept.pop("default_template", None)
    kept.pop("xensource_internal", None)
    if not keep_seed:
        kept["mac_seed"] = str(uuid4())
    if old["is_a_template"]:
        kept.setdefault("base_template_name", old["name_label"])
    return kept


def attach(xapi: Xapi, vm: str, vbd: str, vdi: str) -> None:
    old = xapi.database.record("VBD", vbd)
    kept = ("userdevice", "bootable", "mode", "type", "unpluggable", "empty", "other_config")
    values = {name: old[name] for name in (*kept, "qos_algorithm_type", "qos_algorithm_params")}
    if old["type"] == "Disk":
        values["other_config"] = {OWNER: "", **old["other_config"]}
    new = xapi.database.create("VBD", {**values, "VM": vm, "VDI": vdi})
    vbds.refresh(xapi, new)


def _vif(xapi: Xapi, vm: str, vif: str, *, keep_mac: bool) -> None:
    old = xapi.database.record("VIF", vif)
    fields = xapi.model.classes["VIF"].fields
    values = {name: old[name] for name, field in fields.items() if field.given and name in old}
    vifs.make(xapi, {**values, "VM": vm, "MAC": old["MAC"] if keep_mac else ""})
