"""Whole disks copied in a local store: new ones put in place of old ones, and snapshots.

instances/<uuid>/snapshots/LABEL.img   the copy of the overlay, mode 0600
instances/<uuid>/snapshots/LABEL.data  that of the data disk, where it was asked for
instances/<uuid>/snapshots/LABEL.json  written last: what has no record is not a snapshot
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skinnybox import formats, named_file, private
from skinnybox.errors import Conflict, Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.hosts.building import Buildings
from skinnybox.hosts.local.store import (
    SNAPSHOTS,
    Store,
    sweep,
    sync_file,
    sync_folder,
    translated,
    write_atomically,
)
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import Allocation, Consistency, DiskKind, Instance, Snapshot, check_label
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


@contextlib.contextmanager
def exclusive(store: Store, instance: Instance) -> Iterator[None]:
    """Nobody else copies this machine's disks, running or not, or changes its snapshots. Does not wait."""
    try:
        folder = os.open(store.folder(instance.uuid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"{instance.name} has no overlay here") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(
            f"another command copies the overlay of {instance.name}", hint="wait until it has ended"
        ) from error
    finally:
        os.close(folder)


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
        held.enter_context(exclusive(store, instance))
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
                sync_file(besides[kind])
            ready()
            for kind in buildings:
                put_in_place(besides[kind], targets[kind])
        finally:
            for beside in besides.values():
                beside.unlink(missing_ok=True)
        sync_folder(folder)


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
    record = _record(store, instance, label)
    if record.exists():
        raise Conflict(
            f"{instance.name} has a snapshot {label!r} already",
            hint=f"another label, or: skinnybox snapshot delete {label} {instance.name}",
        )
    images = {kind: _image(store, instance, label, kind) for kind in kinds}
    besides = {kind: image.with_name(f".{image.name}.new") for kind, image in images.items()}
    with translated():
        private.make_folder(record.parent)
        _sweep_snapshots(record.parent)
        try:
            found = [copy(beside, kind) for kind, beside in besides.items()]
            taken = datetime.now(UTC)
            for kind, beside in besides.items():
                sync_file(beside)
                beside.replace(images[kind])
            consistent = next((each for each in found if each is Consistency.CRASH), Consistency.STOPPED)
            write_atomically(record, _text(label, taken, consistent, instance, DiskKind.DATA in kinds))
            sync_file(record)
            sync_folder(record.parent)
        except BaseException:
            for beside in besides.values():
                beside.unlink(missing_ok=True)
            raise
    return _loaded(record)


def _sweep_snapshots(folder: Path) -> None:
    sweep(folder)
    for image in (path for suffix in _SUFFIXES.values() for path in folder.glob(f"*{suffix}")):
        if not image.with_suffix(".json").exists():
            image.unlink(missing_ok=True)


def _text(label: str, taken: datetime, consistent: Consistency, instance: Instance, with_data: bool) -> bytes:
    values = {
        "format": FORMAT,
        "label": label,
        "taken": taken.isoformat(),
        "consistent": consistent.value,
        "instance": to_record(instance),
        "data": with_data,
    }
    return json.dumps(values).encode()


def listed(store: Store, instance: Instance) -> list[Snapshot]:
    """Oldest first. Corrupt, naming the file, for a damaged record."""
    folder = store.folder(instance.uuid) / SNAPSHOTS
    found = [_loaded(path) for path in folder.glob("*.json") if not path.name.startswith(".")]
    return sorted(found, key=lambda snapshot: snapshot.taken)


def _loaded(path: Path) -> Snapshot:
    try:
        values: dict[str, Any] = json.loads(named_file.content(path, _RECORD_LIMIT))
        formats.check(values, FORMAT, "a snapshot's record")
        data = values.get("data") is True  # those of before have none
        files = [path.with_suffix(_SUFFIXES[kind]) for kind in DiskKind if data or kind is DiskKind.OVERLAY]
        return Snapshot(
            label=check_label(values["label"]),
            taken=datetime.fromisoformat(values["taken"]),
            instance=from_record(values["instance"]),
            consistent=Consistency(values["consistent"]),
            written=sum(file.stat().st_blocks * 512 for file in files),
            data=data,
        )
    except (KeyError, TypeError, ValueError, RecursionError, OSError, SkinnyboxError) as error:
        hint = "delete the snapshot, or put its files aside"
        raise Corrupt(f"{path} is no record of a snapshot: {error}", hint=hint) from error


@contextlib.contextmanager
def opened(store: Store, instance: Instance, label: str, kind: DiskKind = DiskKind.OVERLAY) -> Iterator[Path]:
    """NotFound when there is none of this label."""
    image = _image(store, instance, label, kind)
    if not (_record(store, instance, label).exists() and image.exists()):
        raise NotFound(
            f"{instance.name} has no snapshot {label!r}", hint=f"skinnybox snapshot list {instance.name}"
        )
    yield image


def delete(store: Store, instance: Instance, label: str) -> None:
    """Idempotent. For who is alone. The record goes first: what is half gone is no snapshot any more."""
    record = _record(store, instance, label)
    with translated():
        record.unlink(missing_ok=True)
        for kind in DiskKind:
            _image(store, instance, label, kind).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            record.parent.rmdir()


def _image(store: Store, instance: Instance, label: str, kind: DiskKind) -> Path:
    return store.folder(instance.uuid) / SNAPSHOTS / f"{check_label(label)}{_SUFFIXES[kind]}"


def _record(store: Store, instance: Instance, label: str) -> Path:
    return store.folder(instance.uuid) / SNAPSHOTS / f"{check_label(label)}.json"
