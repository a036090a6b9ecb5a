"""Whose machines are in a pool: those of each state folder bear its id."""

from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import UUID

from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.cache import PoolCache
from skinnybox.issues import Check, Deed, Finding

_SHOWN = 3
Machines = dict[UUID | None, dict[UUID, str]]
"""Of each id the machines with their names; None: of those without any."""


def machines(things: PoolCache) -> Machines:
    """As of the last look; also those of which only a disk is there. A snapshot, as backups take them, bears
    all the marks of its machine, and another name."""
    found: Machines = {}
    for of in ("VM", "VDI"):
        for _, record in things.all(of):
            uuid = tags.instance_of(record)
            if uuid is not None and not (of == "VM" and record["is_a_snapshot"]):
                found.setdefault(tags.fleet_of(record), {}).setdefault(uuid, str(record["name_label"]))
    return found


def some(names: Collection[str]) -> str:
    """A few of them, to recognize a fleet by."""
    return ", ".join([*sorted(names)[:_SHOWN], *["..."] * (len(names) > _SHOWN)])


def shown(found: Machines) -> str:
    """Every id with a few of its machines."""
    ids = ((str(fleet), some(list(each.values()))) for fleet, each in found.items() if fleet)
    return "; ".join(f"{fleet} ({names})" for fleet, names in sorted(ids))


def others(things: PoolCache, own: UUID | None) -> Iterator[Finding]:
    """One finding for each other state folder; what it has is none of our business."""
    for fleet, what in _others(things, own):
        hint = f"; if that folder is lost: fleet={fleet}" if fleet else ""
        yield Finding(path=Path("pool", "fleet", str(fleet or "none")), what=f"{what}{hint}", deed=Deed.KEEP)


def checks(things: PoolCache, own: UUID | None) -> Iterator[Check]:
    """The same for doctor."""
    for fleet, what in _others(things, own):
        hint = f"if that folder is lost, fleet={fleet} in the address takes them up" if fleet else None
        yield Check(name="neighbour", status="note", detail=f"{fleet or '-'}: {what}", hint=hint)


def _others(things: PoolCache, own: UUID | None) -> Iterator[tuple[UUID | None, str]]:
    for fleet, each in sorted(machines(things).items(), key=lambda of: str(of[0])):
        if fleet is None or fleet != own:
            whose = "of another state folder" if fleet else "that bear no state folder's id"
            count = f"{len(each)} machine{'s' * (len(each) != 1)}"
            yield fleet, f"{count} {whose}, left alone: {some(list(each.values()))}"
