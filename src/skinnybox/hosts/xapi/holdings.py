"""What lies in a pool under a machine's identity, whole or not: for repair."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from skinnybox.errors import SkinnyboxError, Unsupported
from skinnybox.hosts.base import Holding
from skinnybox.hosts.xapi import marks
from skinnybox.hosts.xapi.pool import Found, Pool


def found(pool: Pool, folder: Path) -> Iterator[Holding]:
    """Of every machine and disk with our mark. In `folder` there is nothing: a place is only a name here."""
    pool.machines.look()
    pool.things.look()
    machines, overlays = pool.ours(), pool.overlays()
    disks = {uuid for _, record in pool.disks() if (uuid := marks.instance_of(record))}
    for uuid in sorted({*machines, *disks}):
        overlay = overlays.get(uuid)
        size = int(overlay[1]["virtual_size"]) if overlay else None
        yield _holding(uuid, folder / str(uuid), machines.get(uuid), size)


def _holding(uuid: UUID, place: Path, machine: Found | None, size: int | None) -> Holding:
    try:
        instance = marks.instance_from(machine[1]) if machine else None
    except SkinnyboxError as error:
        later = isinstance(error, Unsupported)
        return Holding(uuid=uuid, place=place, overlay=size, trouble=error.message, later=later)
    return Holding(uuid=uuid, place=place, instance=instance, overlay=size)
