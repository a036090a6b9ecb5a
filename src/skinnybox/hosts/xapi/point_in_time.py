"""A running machine's disk as it is at one moment: a snapshot of the storage, which goes at once."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.xapi import maps, tags, tasks
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.tags import Role
from skinnybox.model import Consistency, Instance


@contextmanager
def still(pool: Pool, instance: Instance, disk: Found) -> Iterator[tuple[str, Consistency]]:
    """A disk with the bytes of this one at one moment: itself while the machine is off, else a snapshot that
    goes. For who is alone, and swept."""
    found = pool.machine(instance.uuid)
    if not found or found[1]["power_state"] == "Halted":
        yield disk[0], Consistency.STOPPED
        return
    moment = _taken(pool, instance, disk)
    try:
        yield moment, Consistency.CRASH
    finally:
        with contextlib.suppress(SkinnyboxError):
            pool.destroy("VDI", moment)


def _taken(pool: Pool, instance: Instance, disk: Found) -> str:
    """Marked at once, since those that others made stay. What stops it leaves nothing, also where the answer
    was lost."""
    vdi, record = disk
    before = {reference for reference, _ in pool.disks(instance.uuid)}
    try:
        moment = tasks.run(pool.sessions, "VDI.snapshot", vdi)
        maps.put(pool, "VDI", moment, record, tags.ROLE, Role.MOMENT.value)
        return moment
    except BaseException:
        with contextlib.suppress(Exception):
            pool.things.refresh(anew=True)
            for reference, each in pool.disks(instance.uuid):
                if each["snapshot_of"] == vdi and reference not in before:
                    pool.destroy("VDI", reference)
        raise


def sweep(pool: Pool, instance: Instance) -> None:
    """Those of a command that was killed. For who is alone."""
    pool.things.refresh()
    for reference, record in pool.disks(instance.uuid):
        if tags.role_of(record) == Role.MOMENT:
            pool.destroy_disk(reference, record)
