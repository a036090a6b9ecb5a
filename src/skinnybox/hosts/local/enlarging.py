"""A disk in a local store made larger in place, for a machine that runs.

The file first, then the machine: whatever kills us in between, the file is what the disk is at its next
start, and the next call tells the machine that runs.
"""

import os
from collections.abc import Callable
from pathlib import Path

from skinnybox.errors import CommandFailed, NoSpace, NotFound, Unsupported
from skinnybox.hosts.local import snapshots
from skinnybox.hosts.local.store import Store, translated
from skinnybox.model import Allocation, DiskKind, Instance
from skinnybox.overlays import space


def enlarge(
    store: Store,
    instance: Instance,
    size: int,
    disk: DiskKind,
    allocation: Allocation,
    tell: Callable[[int], None],
) -> None:
    """See growing.py. `tell` has the machine take so many bytes for its disk; CommandFailed or Unsupported
    when it has refused, and goes on with what it had. Nobody copies the disk meanwhile."""
    path = store.disk(instance.uuid, disk)
    with snapshots.exclusive(store, instance), translated():
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise NotFound(f"{instance.name} has no such disk", hint="`skinnybox repair`") from error
        try:
            before = os.fstat(descriptor).st_size
            try:
                _extend(descriptor, path.parent, before, size, allocation)
                tell(size)
            except (CommandFailed, NoSpace, Unsupported):
                # Nothing lies behind what the machine has: it was not told of it.
                if before < size:
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


def _extend(descriptor: int, folder: Path, before: int, size: int, allocation: Allocation) -> None:
    """Its blocks too, where they are promised: those that it has already stay as they are."""
    if allocation is Allocation.RESERVED:
        # Beforehand: a reservation that fails takes all there is first, and others need it just then.
        space.require(folder, size - os.fstat(descriptor).st_blocks * 512, "the larger disk")
        space.reserve(descriptor, size)
    elif before < size:
        os.ftruncate(descriptor, size)
