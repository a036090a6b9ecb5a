"""What lies in a pool under a machine's identity, whole or not: for repair."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

from skinnybox.errors import Conflict, SkinnyboxError, Unsupported
from skinnybox.hosts.holding import Holding
from skinnybox.hosts.xapi import fetching, leftovers, tags
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.model import DiskKind, Instance


def found(pool: Pool, folder: Path) -> Iterator[Holding]:
    """Of every machine and overlay with our mark. In `folder` is nothing: a place is only a name here."""
    pool.things.refresh(anew=True)
    machines, own = pool.ours(), [pool.own_disks(kind) for kind in (DiskKind.OVERLAY, DiskKind.DATA)]
    for uuid in sorted({*machines, *own[0], *own[1]}):
        place = folder / str(uuid)
        yield _holding(pool, uuid, place, machines.get(uuid), *(of.get(uuid) for of in own))


def _holding(
    pool: Pool, uuid: UUID, place: Path, machine: Found | None, overlay: Found | None, data: Found | None
) -> Holding:
    used = machine is None and any(
        leftovers.is_used(pool, record, str(uuid)) for _, record in pool.disks(uuid)
    )
    remove = partial(_remove, pool, uuid)
    held = Holding(uuid=uuid, place=place, used=used, remove=remove)
    try:
        instance = tags.instance_from(machine[1]) if machine else None
    except SkinnyboxError as error:
        later = isinstance(error, Unsupported)
        held, instance = replace(held, trouble=error.message, later=later), None
    sizes = [_size(instance, disk) for disk in (overlay, data)]
    return replace(held, instance=instance, overlay=sizes[0], data=sizes[1])


def _size(instance: Instance | None, disk: Found | None) -> int | None:
    if disk is None:
        return None
    return fetching.size_of(instance, disk[1]) if instance else int(disk[1]["virtual_size"])


def _remove(pool: Pool, uuid: UUID) -> None:
    """All disks of a machine that is not there. Conflict when it is by now."""
    with pool.exclusive(str(uuid), f"the disks of {uuid}"):
        pool.things.refresh(anew=True)
        if uuid in pool.ours():
            raise Conflict(f"there is a machine for the disks of {uuid} by now", hint="look again")
        for reference, _ in pool.disks(uuid):
            leftovers.remove_unused(pool, reference)
