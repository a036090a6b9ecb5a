"""What is seen of machines: their power, and what xapi shows of what guests write to xenstore.

xapi shows a fixed list of keys: the guest's report is in one of them (stamp.py), addresses and the kernel's
release are where agents of the platform write them.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.xapi import drives, tags, telling
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.guest_metrics import stamp_of
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.hosts.xapi.session import NULL
from skinnybox.model import Instance, Power, Report, Status, Trouble
from skinnybox.printable import printable

_ADDRESS = re.compile(r"([0-9]{1,3})/(?:ip|ipv4/[0-9]{1,3}|ipv6/[0-9]{1,3})")
_MOST_ADDRESSES = 64
_SLACK = timedelta(minutes=2)
"""By which a pool's clock may be ahead of ours, and a start may have waited in the pool."""
_NEVER = 1970
"""The year in which a pool says that a machine was started which never was."""
_POWERS = {"Suspended": Power.SUSPENDED, "Paused": Power.PAUSED}


def statuses(pool: Pool) -> dict[UUID, Status]:
    """As of the last look."""
    return {uuid: _status(pool, record) for uuid, (_, record) in pool.ours().items() if _is_on(record)}


def troubles(pool: Pool, instances: Iterable[Instance]) -> dict[UUID, Trouble]:
    """Of machines whose record in the pool cannot be read, or which lack a disk: as of the last look."""
    wanted = list(instances)
    ours, found = pool.ours(), drives.troubles(pool, wanted)
    for instance in wanted:
        if instance.uuid not in ours:
            continue
        try:
            tags.instance_from(ours[instance.uuid][1])
        except SkinnyboxError as error:
            found[instance.uuid] = Trouble(brief="its record", why=printable(error.message))
    return found


def _is_on(record: Record) -> bool:
    return bool(record["power_state"] != "Halted")


def _status(pool: Pool, record: Record) -> Status:
    """`pid` is the domain's number: there is no process here."""
    state, domain = record["power_state"], int(record["domid"])
    return Status(
        power=_POWERS.get(state, Power.RUNNING),
        since=since(pool, record),
        pid=domain if domain > 0 else None,
        nonce=telling.nonce_of(record),
        reason=None if state == "Running" else f"{state.lower()} in the pool",
    )


def since(pool: Pool, record: Record) -> datetime | None:
    """When it was started last: by our clock where that was us, else by the pool's, as of the last look. A
    start past us is told by its being later than ours; where the pool's clock is behind it may not be."""
    ours = _time(telling.started_of(record))
    theirs = _started(pool.things.get("VM_metrics", record["metrics"]))
    if ours is None or (theirs is not None and theirs - ours > _SLACK):
        return theirs
    return ours


def _started(metrics: Record | None) -> datetime | None:
    found = _server_time(metrics["start_time"]) if metrics else None
    return found if found and found.year > _NEVER else None


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def reports(pool: Pool, uuids: Iterable[UUID], told: Mapping[UUID, datetime]) -> dict[UUID, Report]:
    """As of the last look. What cannot be understood is not there: the guest may write what it likes. `told`
    is when machines were first seen to be ready: the pool only knows when a guest last said anything."""
    ours, found = pool.ours(), {}
    for uuid in uuids:
        if uuid in ours and _is_on(ours[uuid][1]):
            report = _report(pool, uuid, ours[uuid][1], told.get(uuid))
            if report:
                found[uuid] = report
    return found


def _report(pool: Pool, uuid: UUID, record: Record, told: datetime | None) -> Report | None:
    metrics = metrics_of(pool, record)
    stamp = stamp_of(metrics)
    if metrics is None or stamp is None:
        return None
    started = since(pool, record)
    received = _server_time(metrics["last_updated"]) or datetime.now(UTC)
    if stamp.ready and told and started and started <= told:
        received = min(received, told)
    return Report(
        ready=stamp.ready,
        nonce=stamp.nonce,
        instance=uuid,
        reason=stamp.reason,
        images=stamp.images,
        seed_generation=stamp.generation,
        dax=stamp.dax,
        swap=stamp.swap,
        overlay_size=stamp.overlay[0] if stamp.overlay else None,
        overlay_free=stamp.overlay[1] if stamp.overlay else None,
        ssh_host_keys=stamp.host_keys,
        failed_units=stamp.failed_units,
        inactive_units=stamp.inactive_units,
        checking=stamp.checking,
        rebase=stamp.rebase,
        addresses=_addresses(metrics["networks"]),
        kernel=_kernel(metrics["os_version"]),
        # The two clocks differ, and this one counts whole seconds only.
        received=max(received, started) if started else received,
    )


def metrics_of(pool: Pool, record: Record) -> Record | None:
    reference = record["guest_metrics"]
    return None if reference == NULL else pool.things.get("VM_guest_metrics", reference)


def _addresses(networks: Mapping[str, str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for key, address in sorted(networks.items())[:_MOST_ADDRESSES]:
        place = _ADDRESS.fullmatch(key)
        if place and _is_address(address):
            found[f"eth{place[1]} {address}"] = None
    return tuple(found)


def _is_address(text: str) -> bool:
    """Without a zone, in which anything may stand."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _kernel(versions: Mapping[str, str]) -> str | None:
    return printable(versions["uname"][:100]) if versions.get("uname") else None


def _server_time(value: Any) -> datetime | None:
    text = str(value)
    try:
        return datetime.strptime(text, "%Y%m%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return _time(text)


def pulse(pool: Pool) -> dict[UUID, tuple[object, ...]]:
    """What wakes those who wait, as of the last look: who runs, and what guests said."""
    found: dict[UUID, tuple[object, ...]] = {}
    for uuid, (_, record) in pool.ours().items():
        if _is_on(record):
            metrics = metrics_of(pool, record) or {"other": {}, "networks": {}}
            said = metrics["other"].get("data-ts"), sorted(metrics["networks"].items())
            found[uuid] = (record["power_state"], record["domid"], *said)
    return found
