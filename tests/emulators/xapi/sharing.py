"""Who may have a disk attached beside whom."""

from tests.emulators.xapi.context import Xapi
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL


def refusal(xapi: Xapi, vbd: str) -> Failure | None:
    """Why this VBD cannot be attached now: readers share with readers, a writer shares with nobody.

    `sharable` lets everybody in. Only VBDs in use count, and a suspended machine's do not.
    """
    record = xapi.database.record("VBD", vbd)
    if record["empty"] or record["currently_attached"]:
        return None
    vdi = xapi.database.record("VDI", record["VDI"])
    busy = next(((key, each) for key, each in vdi["current_operations"].items() if each != "copy"), None)
    if busy:
        return Failure("OTHER_OPERATION_IN_PROGRESS", "VDI", record["VDI"], busy[1], busy[0])
    others = _in_use(xapi, record["VDI"], vbd)
    writes = record["mode"] == "RW"
    others_write = any(other["mode"] == "RW" for other in others)
    if not vdi["sharable"] and (others_write or (writes and others)):
        return Failure("VDI_IN_USE", record["VDI"])
    return Failure("VDI_READONLY", record["VDI"]) if writes and vdi["read_only"] else None


def _in_use(xapi: Xapi, vdi: str, but: str) -> list[dict[str, object]]:
    found = []
    for vbd in xapi.database.get("VDI", vdi, "VBDs"):
        record = xapi.database.record("VBD", vbd)
        suspended = xapi.database.get("VM", record["VM"], "power_state") == "Suspended"
        used = record["currently_attached"] or record["current_operations"]
        if vbd != but and used and not suspended:
            found.append(record)
    return found


def assert_agile(xapi: Xapi, vm: str, vdi: str) -> None:
    """A machine that HA protects may not depend on storage of one host."""
    pool = xapi.database.record("pool", xapi.pool)
    protected = xapi.database.get("VM", vm, "ha_restart_priority") == "restart"
    if vdi == NULL or not pool["ha_enabled"] or pool["ha_allow_overcommit"] or not protected:
        return
    sr = xapi.database.get("VDI", vdi, "SR")
    if not xapi.database.get("SR", sr, "shared"):
        raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)
