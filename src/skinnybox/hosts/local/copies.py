"""Whole disks copied in a local store: new ones put in place of old ones, and snapshots taken."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from skinnybox import private
from skinnybox.durable import sync
from skinnybox.errors import SkinnyboxError, Unsupported
from skinnybox.hosts.building import Buildings
from skinnybox.hosts.local import keeping, snapshots
from skinnybox.hosts.local.store import (
    Store,
    sweep,
    translated,
    write_atomically,
)
from skinnybox.model import Allocation, Consistency, DiskKind, Instance, Snapshot
from skinnybox.operation import Operation
from skinnybox.overlays import lock, space
from skinnybox.overlays.copy import copy_data, data_size
from skinnybox.overlays.swap import forget
from skinnybox.sizes import MIB

FORMAT = 1
_RECORD_LIMIT = 64 << 20
_SUFFIXES = {DiskKind.OVERLAY: ".img", DiskKind.DATA: ".data"}
_MARGIN = 8 * MIB
"""What a copy may take beside its data: the filesystem's own records of where that lies."""


def rebuild(
    store: Store,
    instance: Instance,
    buildings: Buildings,
    allocations: Mapping[DiskKind, Allocation],
    ready: Callable[[], None],
) -> None:
    """See rebuild_disks in base.py. What earlier calls left when they were killed is removed first: so who
    rebuilds any disk has the overlay, or would take away what another is making."""
    folder = store.folder(instance.uuid)
    targets = {kind: store.disk(instance.uuid, kind) for kind in buildings}
    besides = {kind: folder / f".{secrets.token_hex(8)}.new" for kind in buildings}
    with contextlib.ExitStack() as held, translated():
        # Who copies both disks meanwhile is not to get one of then and one of now.
        held.enter_context(snapshots.exclusive(store, instance))
        for path in dict.fromkeys((store.overlay(instance.uuid), *targets.values())):
            held.enter_context(lock.exclusive(path))
        sweep(folder)
        try:
            for kind, building in buildings.items():  # all, before the first byte is copied for any
                space.make_blank(besides[kind], building.size, allocations[kind])
            for kind, building in buildings.items():
                building.build(targets[kind], besides[kind])
                forget(besides[kind], instance)
                _keep_promise(besides[kind], building.size, allocations[kind])
                sync(besides[kind])
            with _names_kept(store, instance, buildings):
                ready()
                for kind in buildings:
                    put_in_place(besides[kind], targets[kind])
                sync(folder)
        finally:
            for beside in besides.values():
                beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _names_kept(store: Store, instance: Instance, buildings: Buildings) -> Iterator[None]:
    """Before the first of them is in place, as a full disk may refuse it."""
    with contextlib.ExitStack() as kept:
        for building in buildings.values():
            if building.keep is not None:
                kept.enter_context(keeping.kept(store, instance, building.keep))
        yield


def put_in_place(beside: Path, target: Path) -> None:
    beside.replace(target)


def _keep_promise(path: Path, size: int, allocation: Allocation) -> None:
    """Programs that write filesystems punch holes: those are filled again before anybody relies on them. And
    whoever was lent the file gives it back."""
    with path.open("r+b", buffering=0) as file:
        os.fchown(file.fileno(), os.geteuid(), os.getegid())
        if os.fstat(file.fileno()).st_size != size:
            raise SkinnyboxError(f"{path} did not keep its size while it was made")
        if allocation is Allocation.RESERVED:
            space.reserve(file.fileno(), size)
            if space.has_shared_extents(file.fileno()):
                raise Unsupported("this filesystem shares extents unasked", hint="--sparse")


def copy_stopped(
    store: Store, instance: Instance, target: Path, operation: Operation, kind: DiskKind
) -> None:
    """Of a machine that does not run. Conflict while somebody has the disk open."""
    with lock.exclusive(store.disk(instance.uuid, kind)) as source:
        copy_open(source, target, operation)
    forget(target, instance)


def copy_open(source: int, target: Path, operation: Operation) -> None:
    """From a file that nobody writes to. NoSpace beforehand."""
    with new_target(source, target) as descriptor:
        copy_data(source, descriptor, operation)


@contextlib.contextmanager
def new_target(source: int, target: Path) -> Iterator[int]:
    """A new file as large as the open `source`, to be filled in the block, for which there is room; gone when
    the block fails."""
    with translated():
        space.require(target.parent, data_size(source) + _MARGIN, "a copy of the disk")
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(descriptor, os.fstat(source).st_size)
            yield descriptor
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


def take(
    store: Store,
    instance: Instance,
    label: str,
    kinds: Sequence[DiskKind],
    copy: Callable[[Path, DiskKind], Consistency],
) -> Snapshot:
    """Keep what `copy` makes of each kind, the overlay first. For who is alone. Killed at any moment, it is
    there, whole, or not at all."""
    record = snapshots.record_of(store, instance, label)
    snapshots.refuse_taken(store, instance, label)
    images = {kind: snapshots.image_of(store, instance, label, kind) for kind in kinds}
    besides = {kind: image.with_name(f".{image.name}.new") for kind, image in images.items()}
    with translated():
        private.make_folder(record.parent)
        snapshots.sweep_half(record.parent)
        try:
            found = [copy(beside, kind) for kind, beside in besides.items()]
            taken = datetime.now(UTC)
            for kind, beside in besides.items():
                sync(beside)
                beside.replace(images[kind])
            consistent = next((each for each in found if each is Consistency.CRASH), Consistency.STOPPED)
            data = DiskKind.DATA in kinds
            write_atomically(record, snapshots.text(label, taken, consistent, instance, data=data))
            sync(record)
            sync(record.parent)
            sync(record.parent.parent)  # which has it by a name that the first snapshot made
        except BaseException:
            for beside in besides.values():
                beside.unlink(missing_ok=True)
            raise
    return snapshots.loaded(record)
