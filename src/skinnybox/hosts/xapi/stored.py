"""What lies in a pool under a machine's identity, whole or not: for repair."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID

from skinnybox.errors import Conflict, SkinnyboxError, Unsupported
from skinnybox.hosts.base import Holding
from skinnybox.hosts.xapi import disks, leftovers, tags
from skinnybox.hosts.xapi.pool import Found, Pool


def found(pool: Pool, folder: Path) -> Iterator[Holding]:
    """Of every machine and overlay with our mark. In `folder` is nothing: a place is only a name here."""
    pool.things.refresh(anew=True)
    machines, overlays = pool.ours(), pool.overlays()
    for uuid in sorted({*machines, *overlays}):
        yield _holding(pool, uuid, folder / str(uuid), machines.get(uuid), overlays.get(uuid))


def _holding(pool: Pool, uuid: UUID, place: Path, machine: Found | None, overlay: Found | None) -> Holding:
    size = int(overlay[1]["virtual_size"]) if overlay else None
    used = machine is None and any(
        leftovers.is_used(pool, record, str(uuid)) for _, record in pool.disks(uuid)
    )
    remove = partial(_remove, pool, uuid)
    try:
        instance = tags.instance_from(machine[1]) if machine else None
    except SkinnyboxError as error:
        later = isinstance(error, Unsupported)
        return Holding(
            uuid=uuid, place=place, overlay=size, trouble=error.message, later=later, used=used, remove=remove
        )
    if instance and overlay:
        size = disks.size_of(instance, overlay[1])
    return Holding(uuid=uuid, place=place, instance=instance, overlay=size, used=used, remove=remove)


def _remove(pool: Pool, uuid: UUID) -> None:
    """All disks of a machine that is not there. Conflict when it is by now."""
    with pool.exclusive(str(uuid), f"the disks of {uuid}"):
        pool.things.refresh(anew=True)
        if uuid in pool.ours():
            raise Conflict(f"there is a machine for the disks of {uuid} by now", hint="look again")
        for reference, _ in pool.disks(uuid):
            leftovers.remove_unused(pool, reference)
