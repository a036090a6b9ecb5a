"""Which operation a machine allows in which state, and the error otherwise: xapi's checks in its order."""

from typing import Any

from tests.emulators.xapi import vbds, vifs
from tests.emulators.xapi.context import Xapi
from tests.emulators.xapi.failure import Failure

_HALTED = "changing_VCPUs changing_static_range changing_memory_limits changing_shadow_memory changing_NVRAM"
_HALTED += " make_into_template provision start start_on create_vtpm"
_RUNNING = "awaiting_memory_live call_plugin clean_reboot clean_shutdown changing_memory_live"
_RUNNING += " changing_shadow_memory_live changing_VCPUs_live data_source_op pause pool_migrate send_sysrq"
_RUNNING += " send_trigger snapshot_with_quiesce sysprep suspend"
_ALWAYS = "assert_operation_valid metadata_export power_state_reset revert reverting snapshot"
_ALWAYS += " update_allowed_operations query_services"

_OFF = "checkpoint get_boot_record shutdown hard_shutdown"

STATES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_HALTED.split(), ("Halted",)),
    **dict.fromkeys(_RUNNING.split(), ("Running",)),
    **dict.fromkeys(_ALWAYS.split(), ("Halted", "Paused", "Suspended", "Running")),
    **dict.fromkeys(("csvm", "resume", "resume_on"), ("Suspended",)),
    **dict.fromkeys(("create_template", "destroy", "export"), ("Halted", "Suspended")),
    **dict.fromkeys(_OFF.split(), ("Paused", "Suspended", "Running")),
    **dict.fromkeys(("clone", "copy"), ("Halted",)),
    "unpause": ("Paused",),
    "changing_dynamic_range": ("Halted", "Running"),
    "hard_reboot": ("Paused", "Running"),
    "migrate_send": ("Halted", "Suspended", "Running"),
    "import": (),
}  # fmt: skip

_OF_TEMPLATES = set(_HALTED.split()) - {"make_into_template", "start", "start_on", "create_vtpm"}
_OF_TEMPLATES |= {"changing_dynamic_range", "clone", "copy", "export", "metadata_export"}
_OF_OWN_TEMPLATES = _OF_TEMPLATES | {"destroy", "migrate_send"}
_OF_SNAPSHOTS = {"revert", "clone", "copy", "export", "destroy", "hard_shutdown", "metadata_export"}
_NEEDS_AGENT = {
    "clean_shutdown": ("feature-shutdown", "feature-poweroff"),
    "clean_reboot": ("feature-shutdown", "feature-reboot"),
    "suspend": ("feature-suspend",),
    "checkpoint": ("feature-suspend",),
    "pool_migrate": ("feature-suspend",),
    "migrate_send": ("feature-suspend",),
}
_NOT_LISTED = {
    "create_template", "power_state_reset", "csvm", "get_boot_record", "send_sysrq", "send_trigger",
    "query_services", "shutdown", "call_plugin", "changing_memory_live", "awaiting_memory_live",
    "changing_memory_limits", "changing_shadow_memory_live", "changing_VCPUs", "import", "reverting",
    "assert_operation_valid", "data_source_op", "update_allowed_operations",
}  # fmt: skip


def refusal(xapi: Xapi, vm: str, operation: str, *, strict: bool = False) -> Failure | None:
    """Why `operation` is not possible now; None when it is. `strict` also wants the guest's own support."""
    record = xapi.database.record("VM", vm)
    if operation in record["blocked_operations"]:
        return Failure("OPERATION_BLOCKED", vm, record["blocked_operations"][operation])
    allowed = STATES[operation]
    if record["power_state"] not in allowed and not (
        operation in {"clone", "copy"} and record["is_a_snapshot"]
    ):
        expected = ", ".join(state.lower() for state in allowed)
        return Failure("VM_BAD_POWER_STATE", vm, expected, record["power_state"].lower())
    return (
        _concurrent(vm, record, operation)
        or _of_its_sort(vm, record, operation)
        or (_without_agent(xapi, vm, record, operation) if strict else None)
        or _with_resetting_disk(xapi, record, operation)
    )


def _concurrent(vm: str, record: dict[str, Any], operation: str) -> Failure | None:
    current: dict[str, str] = record["current_operations"]
    if not current:
        return None
    for together in ({"clone", "copy", "export"}, {"snapshot", "checkpoint"}, {"get_boot_record"}):
        if operation in together and together.issuperset(current.values()):
            return None
    if operation == "hard_shutdown" and operation not in current.values():
        return None
    if operation == "hard_reboot" and not {"hard_shutdown", "hard_reboot"} & set(current.values()):
        return None
    return Failure(
        "OTHER_OPERATION_IN_PROGRESS", "VM", vm, ",".join(current.values()), ",".join(current.keys())
    )


def _of_its_sort(vm: str, record: dict[str, Any], operation: str) -> Failure | None:
    """What templates, snapshots and control domains do not do."""
    is_default = record["is_default_template"] or record["other_config"].get("default_template") == "true"
    if record["is_a_snapshot"]:
        if operation not in _OF_SNAPSHOTS:
            return Failure("VM_IS_SNAPSHOT", vm, operation)
    elif record["is_a_template"] and operation not in (_OF_TEMPLATES if is_default else _OF_OWN_TEMPLATES):
        return Failure("VM_IS_TEMPLATE", vm, operation)
    if operation == "provision" and not record["is_a_template"]:
        return Failure("ONLY_PROVISION_TEMPLATE")
    if operation == "revert" and not record["is_a_snapshot"]:
        return Failure("ONLY_REVERT_SNAPSHOT")
    if record["is_control_domain"]:
        return Failure("OPERATION_NOT_ALLOWED", "This operation is not allowed on a control domain")
    return None


def _without_agent(xapi: Xapi, vm: str, record: dict[str, Any], operation: str) -> Failure | None:
    wanted = _NEEDS_AGENT.get(operation)
    if wanted is None or record["power_state"] not in {"Running", "Paused"}:
        return None
    metrics = record["guest_metrics"]
    shown: dict[str, str] = {}
    if xapi.database.valid("VM_guest_metrics", metrics):
        shown = xapi.database.get("VM_guest_metrics", metrics, "other")
    if any(shown.get(feature) == "1" for feature in wanted):
        return None
    return Failure("VM_LACKS_FEATURE", vm)


def _with_resetting_disk(xapi: Xapi, record: dict[str, Any], operation: str) -> Failure | None:
    if operation not in {"checkpoint", "snapshot", "suspend"}:
        return None
    for vbd in (xapi.database.record("VBD", each) for each in record["VBDs"]):
        if not vbd["empty"] and xapi.database.get("VDI", vbd["VDI"], "on_boot") == "reset":
            return Failure("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")
    return None


def check(xapi: Xapi, vm: str, operation: str) -> None:
    found = refusal(xapi, vm, operation)
    if found:
        raise found


def refresh(xapi: Xapi, vm: str, *, devices: bool = False) -> None:
    """allowed_operations of the machine, and of its disks and cards where its power state changed."""
    allowed = [
        operation
        for operation in STATES
        if operation not in _NOT_LISTED and refusal(xapi, vm, operation, strict=True) is None
    ]
    xapi.database.set("VM", vm, "allowed_operations", allowed)
    if devices:
        for vbd in xapi.database.get("VM", vm, "VBDs"):
            vbds.refresh(xapi, vbd)
        for vif in xapi.database.get("VM", vm, "VIFs"):
            vifs.refresh(xapi, vif)
