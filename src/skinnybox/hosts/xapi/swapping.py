"""A snapshot in a pool put in the overlay's place, and that aside, without a copy of either (keeping.py)."""

from skinnybox.errors import NotFound
from skinnybox.hosts.xapi import disks, keeping, maps, others, tags
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.tags import Role
from skinnybox.model import DiskKind, Instance


def swap(pool: Pool, instance: Instance, label: str, aside: str) -> None:
    """See swap_overlay in hosts/keeping.py."""
    with disks.exclusive(pool, instance):
        still_off = others.off(pool, instance)
        now = pool.overlay(instance)
        then = keeping.find(pool, instance, label)
        if then is None:
            hint = f"skinnybox snapshot list {instance.name}"
            raise NotFound(f"{instance.name} has no snapshot {label!r}", hint=hint)
        with keeping.marked(pool, instance, now, aside):
            still_off()
            _count(pool, then, tags.generation_of(now[1]) + 1)
        pool.call("VDI.set_name_label", then[0], f"{instance.name} {DiskKind.OVERLAY}")
        disks.attach_current(pool, instance, now)


def _count(pool: Pool, disk: Found, generation: int) -> None:
    """It is the overlay from the last call on. Its generation comes first: without its role that says
    nothing."""
    maps.put(pool, "VDI", *disk, tags.GENERATION, str(generation))
    maps.put(pool, "VDI", *disk, tags.ROLE, Role.OVERLAY.value)
