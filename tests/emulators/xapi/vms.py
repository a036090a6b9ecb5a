"""Machines as records: create, destroy, and the settings that have rules."""

from typing import Any
from uuid import uuid4

from tests.emulators.xapi import lifecycle
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL

BIOS_ORDER = "BIOS order"
_LIMITS = ("memory_static_min", "memory_dynamic_min", "memory_dynamic_max", "memory_static_max")


@implements("VM.create")
def create(call: Call, values: dict[str, Any]) -> str:
    """Nearly anything goes: it is checked at start. `blocked_operations` are dropped, as xapi drops them."""
    call.work()
    return make(call.xapi, values)


def make(xapi: Xapi, values: dict[str, Any]) -> str:
    if values.get("domain_type", "unspecified") == "unspecified":
        values = {**values, "domain_type": "hvm" if values.get("HVM_boot_policy") else "pv"}
    other_config = {"mac_seed": str(uuid4()), **values.get("other_config", {})}
    dropped = {"blocked_operations": {}, "power_state": "Halted", "suspend_VDI": NULL}
    metrics = xapi.database.create("VM_metrics", {"current_domain_type": "unspecified"})
    made = {**values, **dropped, "other_config": other_config, "metrics": metrics, "domid": -1}
    vm = xapi.database.create("VM", made)
    lifecycle.refresh(xapi, vm)
    return vm


@implements("VM.destroy")
def destroy(call: Call, vm: str) -> None:
    """Its VBDs and VIFs go, its disks stay."""
    xapi = call.xapi
    record = xapi.database.record("VM", vm)
    lifecycle.check(xapi, vm, "destroy")
    if record["other_config"].get("default_template") == "true":
        raise Failure("VM_CANNOT_DELETE_DEFAULT_TEMPLATE")
    with call.operation("VM", vm, "destroy"):
        for child in list(record["children"]):
            xapi.database.set("VM", child, "parent", record["parent"])
        for of, name in (("VBD", "VBDs"), ("VIF", "VIFs"), ("console", "consoles")):
            for each in list(record[name]):
                xapi.database.destroy(of, each)
        for of, name in (("VM_metrics", "metrics"), ("VM_guest_metrics", "guest_metrics")):
            if xapi.database.valid(of, record[name]):
                xapi.database.destroy(of, record[name])
        xapi.database.destroy("VM", vm)


@implements("VM.set_is_a_template")
def set_is_a_template(call: Call, vm: str, value: bool) -> None:
    if value:
        lifecycle.check(call.xapi, vm, "make_into_template")
    become_template(call.xapi, vm, value=value)


def become_template(xapi: Xapi, vm: str, *, value: bool) -> None:
    xapi.database.set("VM", vm, "is_a_template", value)
    metrics = xapi.database.get("VM", vm, "metrics")
    if value and metrics != NULL:
        xapi.database.set("VM", vm, "metrics", NULL)
        xapi.database.destroy("VM_metrics", metrics)
    lifecycle.refresh(xapi, vm)


def metrics_of(xapi: Xapi, vm: str) -> str:
    """Its VM_metrics, made when a template had none."""
    found: str = xapi.database.get("VM", vm, "metrics")
    if found == NULL:
        found = xapi.database.create("VM_metrics", {})
        xapi.database.set("VM", vm, "metrics", found)
    return found


@implements("VM.set_VCPUs_max")
def set_vcpus_max(call: Call, vm: str, value: int) -> None:
    lifecycle.check(call.xapi, vm, "changing_VCPUs")
    if value < max(1, call.database.get("VM", vm, "VCPUs_at_startup")):
        raise Failure("INVALID_VALUE", "VCPU values must satisfy: 0 < VCPUs_at_startup ≤ VCPUs_max", value)
    call.database.set("VM", vm, "VCPUs_max", value)


@implements("VM.set_VCPUs_at_startup")
def set_vcpus_at_startup(call: Call, vm: str, value: int) -> None:
    if not 1 <= value <= call.database.get("VM", vm, "VCPUs_max"):
        raise Failure("INVALID_VALUE", "VCPU values must satisfy: 0 < VCPUs_at_startup ≤ VCPUs_max", value)
    call.database.set("VM", vm, "VCPUs_at_startup", value)


@implements("VM.set_memory_limits")
def set_memory_limits(
    call: Call, vm: str, static_min: int, static_max: int, dynamic_min: int, dynamic_max: int
) -> None:
    lifecycle.check(call.xapi, vm, "changing_memory_limits")
    _set_limits(call.xapi, vm, static_min, dynamic_min, dynamic_max, static_max)


@implements("VM.set_memory")
def set_memory(call: Call, vm: str, value: int) -> None:
    lifecycle.check(call.xapi, vm, "changing_memory_limits")
    _set_limits(call.xapi, vm, call.database.get("VM", vm, "memory_static_min"), value, value, value)


def _set_limits(xapi: Xapi, vm: str, *limits: int) -> None:
    """`limits` as in _LIMITS; where the licence has no dynamic memory, all but the first are one."""
    if list(limits) != sorted(limits):
        raise Failure("MEMORY_CONSTRAINT_VIOLATION_ORDER")
    if not xapi.options.dynamic_memory and len(set(limits[1:])) > 1:
        raise Failure("MEMORY_CONSTRAINT_VIOLATION_MAXPIN", "DMC disabled")
    xapi.database.update("VM", vm, **dict(zip(_LIMITS, limits, strict=True)), memory_target=limits[1])


def _limit_setter(name: str) -> None:
    """VM.set_memory_static_min and its like: one limit, all four checked."""
    operation = "changing_static_range" if "static" in name else "changing_dynamic_range"

    def set_one(call: Call, vm: str, value: int) -> None:
        lifecycle.check(call.xapi, vm, operation)
        record = call.database.record("VM", vm)
        _set_limits(call.xapi, vm, *(value if each == name else record[each] for each in _LIMITS))

    implements(f"VM.set_{name}")(set_one)


for _name in _LIMITS:
    _limit_setter(_name)


@implements("VM.set_memory_static_range")
def set_static_range(call: Call, vm: str, low: int, high: int) -> None:
    lifecycle.check(call.xapi, vm, "changing_static_range")
    record = call.database.record("VM", vm)
    _set_limits(call.xapi, vm, low, record["memory_dynamic_min"], record["memory_dynamic_max"], high)


@implements("VM.set_memory_dynamic_range")
def set_dynamic_range(call: Call, vm: str, low: int, high: int) -> None:
    lifecycle.check(call.xapi, vm, "changing_dynamic_range")
    record = call.database.record("VM", vm)
    _set_limits(call.xapi, vm, record["memory_static_min"], low, high, record["memory_static_max"])


@implements("VM.set_domain_type")
def set_domain_type(call: Call, vm: str, value: str) -> None:
    if value == "unspecified":
        raise Failure("INVALID_VALUE", "domain_type", value)
    policy = BIOS_ORDER if value == "hvm" else ""
    call.database.update("VM", vm, domain_type=value, HVM_boot_policy=policy)


@implements("VM.set_HVM_boot_policy")
def set_boot_policy(call: Call, vm: str, value: str) -> None:
    call.database.update("VM", vm, domain_type="hvm" if value else "pv", HVM_boot_policy=value)


@implements("VM.set_NVRAM")
def set_nvram(call: Call, vm: str, value: dict[str, str]) -> None:
    lifecycle.check(call.xapi, vm, "changing_NVRAM")
    call.database.set("VM", vm, "NVRAM", value)


@implements("VM.set_blocked_operations")
def set_blocked(call: Call, vm: str, value: dict[str, str]) -> None:
    call.database.set("VM", vm, "blocked_operations", value)
    lifecycle.refresh(call.xapi, vm)


@implements("VM.add_to_blocked_operations")
def add_to_blocked(call: Call, vm: str, key: str, value: str) -> None:
    if key in call.database.get("VM", vm, "blocked_operations"):
        raise Failure(
            "MAP_DUPLICATE_KEY", "VM", "blocked_operations", call.database.get("VM", vm, "uuid"), key
        )
    call.database.put("VM", vm, "blocked_operations", key, value)
    lifecycle.refresh(call.xapi, vm)


@implements("VM.remove_from_blocked_operations")
def remove_from_blocked(call: Call, vm: str, key: str) -> None:
    call.database.put("VM", vm, "blocked_operations", key, None)
    lifecycle.refresh(call.xapi, vm)


@implements("VM.assert_operation_valid")
def assert_operation_valid(call: Call, vm: str, operation: str) -> None:
    lifecycle.check(call.xapi, vm, operation)


@implements("VM.update_allowed_operations")
def update_allowed_operations(call: Call, vm: str) -> None:
    lifecycle.refresh(call.xapi, vm, devices=True)
