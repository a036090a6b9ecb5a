"""On which host a machine can start, and which one it gets."""

from typing import Any

from tests.emulators.xapi import srs
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL


def refusal(xapi: Xapi, vm: str, host: str) -> Failure | None:
    """Why the machine cannot start on that host; None when it can."""
    record, server = xapi.database.record("VM", vm), xapi.database.record("host", host)
    if not server["enabled"]:
        return Failure("HOST_DISABLED", host)
    return (
        _storage(xapi, vm, record, host) or _networks(xapi, vm, record, host) or _memory(xapi, record, host)
    )


def _storage(xapi: Xapi, vm: str, record: dict[str, Any], host: str) -> Failure | None:
    for vbd in (xapi.database.record("VBD", each) for each in record["VBDs"]):
        if vbd["empty"]:
            continue
        sr = xapi.database.get("VDI", vbd["VDI"], "SR")
        if host not in srs.hosts_of(xapi, sr):
            return Failure("VM_REQUIRES_SR", vm, sr)
    return None


def _networks(xapi: Xapi, vm: str, record: dict[str, Any], host: str) -> Failure | None:
    """A network without any PIF is internal to each host."""
    for vif in record["VIFs"]:
        network = xapi.database.get("VIF", vif, "network")
        pifs = [xapi.database.record("PIF", each) for each in xapi.database.get("network", network, "PIFs")]
        if pifs and not any(pif["host"] == host for pif in pifs):
            return Failure("VM_REQUIRES_NETWORK", vm, network)
    return None


def _memory(xapi: Xapi, record: dict[str, Any], host: str) -> Failure | None:
    available = free_memory(xapi, host)
    needed = record["memory_static_max"]
    return Failure("HOST_NOT_ENOUGH_FREE_MEMORY", needed, available) if needed > available else None


def free_memory(xapi: Xapi, host: str) -> int:
    """Bytes."""
    metrics = xapi.database.get("host", host, "metrics")
    total: int = xapi.database.get("host_metrics", metrics, "memory_total")
    resident = xapi.database.get("host", host, "resident_VMs")
    used: int = sum(xapi.database.get("VM", each, "memory_static_max") for each in resident)
    overhead: int = xapi.database.get("host", host, "memory_overhead")
    return total - overhead - used


def choose(xapi: Xapi, vm: str) -> str:
    """Affinity first, then most free memory. Failure NO_HOSTS_AVAILABLE, or what the only host lacks."""
    hosts = list(xapi.database.tables["host"])
    possible = [host for host in hosts if refusal(xapi, vm, host) is None]
    affinity: str = xapi.database.get("VM", vm, "affinity")
    if affinity in possible:
        return affinity
    if possible:
        return max(possible, key=lambda host: free_memory(xapi, host))
    only = refusal(xapi, vm, hosts[0]) if len(hosts) == 1 else None
    raise only or Failure("NO_HOSTS_AVAILABLE")


@implements("VM.assert_can_boot_here")
def assert_can_boot_here(call: Call, vm: str, host: str) -> None:
    found = refusal(call.xapi, vm, host)
    if found:
        raise found


@implements("VM.get_possible_hosts")
def possible_hosts(call: Call, vm: str) -> list[str]:
    return [host for host in call.database.tables["host"] if refusal(call.xapi, vm, host) is None]


@implements("host.compute_free_memory")
def compute_free_memory(call: Call, host: str) -> int:
    return free_memory(call.xapi, host)


@implements("VM.maximise_memory")
def maximise_memory(call: Call, vm: str, total: int, approximate: bool) -> int:
    return total


def assert_startable(xapi: Xapi, vm: str) -> None:
    record = xapi.database.record("VM", vm)
    if record["VCPUs_max"] < 1:
        raise Failure("VM_NO_VCPUS", vm)
    if record["affinity"] != NULL and not xapi.database.valid("host", record["affinity"]):
        raise Failure("HANDLE_INVALID", "host", record["affinity"])
