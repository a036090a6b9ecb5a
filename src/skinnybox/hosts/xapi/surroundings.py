"""What else in a pool a fleet hangs on: hosts that are up, storage plugged in, what its user may do."""

from collections.abc import Callable, Iterator

from skinnybox.errors import NotFound
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.issues import Check
from skinnybox.printable import printable

_MOST = 20
"""Of one kind are named one by one."""
_MAKE = "make and delete machines"
_RIGHTS = {
    _MAKE: ("vm.create", "vm.destroy", "vdi.create", "vdi.destroy", "vbd.create", "vm.add_to_other_config"),
    "start and stop them": ("vm.start", "vm.clean_shutdown", "vm.hard_shutdown"),
    "change their memory": ("vm.set_memory_limits",),
}
"""By the names that xapi gives permissions (session.rbac_permissions)."""


def _hosts(pool: Pool) -> Iterator[Check]:
    """One that does not answer, or takes no machines."""
    known, live = _known(pool)
    troubles = []
    for reference, record in known.items():
        if reference not in live:
            troubles.append(_host(record, "is offline", "is it up? Machines on it may still run"))
        elif not record["enabled"]:
            troubles.append(_host(record, "is disabled: nothing starts there", "xe host-enable"))
    if not troubles:
        names = ", ".join(sorted(str(record["name_label"]) for record in known.values())[:_MOST])
        yield Check(name="hosts", status="ok", detail=f"{len(known)} up: {printable(names)}")
    yield from troubles[:_MOST]


def _host(record: Record, what: str, hint: str) -> Check:
    return Check(
        name="hosts", status="warn", detail=f"{printable(str(record['name_label']))} {what}", hint=hint
    )


def _known(pool: Pool) -> tuple[dict[str, Record], set[str]]:
    """All hosts, and those of them that the pool hears of."""
    known: dict[str, Record] = pool.call("host.get_all_records")
    metrics: dict[str, Record] = pool.call("host_metrics.get_all_records")
    return known, {ref for ref, record in known.items() if metrics.get(record["metrics"], {}).get("live")}


def _links(pool: Pool) -> Iterator[Check]:
    """Of every SR that our disks are on, or will be: whether the hosts that should see it do. What a host
    that is offline has plugged in is not known."""
    known, live = _known(pool)
    names = []
    for sr in sorted(_used(pool)):
        record = pool.things.get("SR", sr)
        links = [each for _, each in pool.things.all("PBD") if each["SR"] == sr and each["host"] in live]
        if record is None or not links:
            continue
        name = printable(str(record["name_label"]))
        names.append(name)
        loose = [each for each in links if not each["currently_attached"]]
        if len(loose) == len(links):
            hint = f"xe pbd-plug uuid={loose[0]['uuid']}"
            yield Check(name="plugged", status="fail", detail=f"no host has {name} plugged in", hint=hint)
            continue
        for each in loose[:_MOST]:
            host = printable(str(known[each["host"]]["name_label"]))
            detail = f"{host} has not plugged in {name}: machines with disks there cannot run on it"
            yield Check(name="plugged", status="warn", detail=detail, hint=f"xe pbd-plug uuid={each['uuid']}")
    if names:
        yield Check(name="plugged", status="ok", detail=f"looked at {', '.join(sorted(names)[:_MOST])}")


def _used(pool: Pool) -> set[str]:
    """SRs with overlays of ours, masters or layers, and the chosen one."""
    found = {record["SR"] for _, record in pool.disks()}
    found |= {record["SR"] for _, record in pool.things.all("VDI") if tags.digest_of(record)}
    try:
        return found | {pool.sr()[0]}
    except NotFound:  # `storage` tells that
        return found


def _rights(pool: Pool) -> Iterator[Check]:
    """Said before a command is refused half-way."""
    session = pool.sessions.handle()
    if pool.call("session.get_is_local_superuser", session):
        yield Check(name="rights", status="ok", detail=f"{pool.address.user} may do everything")
        return
    held = set(pool.call("session.get_rbac_permissions", session))
    lacks = [deed for deed, needed in _RIGHTS.items() if not held.issuperset(needed)]
    if not lacks:
        yield Check(name="rights", status="ok", detail=f"{pool.address.user} may {', '.join(_RIGHTS)}")
        return
    detail = f"{pool.address.user} may not {', nor '.join(lacks)}"
    hint = "vm-admin makes, deletes and starts machines; vm-power-admin changes their memory as well"
    yield Check(name="rights", status="warn" if _MAKE in lacks else "note", detail=detail, hint=hint)


LOOKS: dict[str, Callable[[Pool], Iterator[Check]]] = {"hosts": _hosts, "plugged": _links, "rights": _rights}
