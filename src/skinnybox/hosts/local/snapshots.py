"""Snapshots in a local store.

instances/<uuid>/snapshots/LABEL.img   the copy of the overlay, or what was it (keeping.py); mode 0600
instances/<uuid>/snapshots/LABEL.data  that of the data disk, where it was asked for
instances/<uuid>/snapshots/LABEL.json  what has no record is not a snapshot
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from skinnybox import formats, named_file
from skinnybox.errors import Conflict, Corrupt, NotFound, SkinnyboxError
from skinnybox.hosts.local import shared
from skinnybox.hosts.local.shared import SNAPSHOTS
from skinnybox.hosts.local.store import FILES, Store, sweep, translated
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import Consistency, DiskKind, Instance, Snapshot, check_label

FORMAT = 1
_RECORD_LIMIT = 64 << 20
_SUFFIXES = {DiskKind.OVERLAY: ".img", DiskKind.DATA: ".data"}


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


def refuse_taken(store: Store, instance: Instance, label: str) -> None:
    """Conflict where it has one of this label."""
    if record_of(store, instance, label).exists():
        raise Conflict(
            f"{instance.name} has a snapshot {label!r} already",
            hint=f"another label, or: skinnybox snapshot delete {label} {instance.name}",
        )


def sweep_half(folder: Path) -> None:
    """Remove what killed commands left half made, or half deleted. For who is alone."""
    sweep(folder)
    shared.drop(folder.parent / FILES[DiskKind.OVERLAY], folder)
    for image in (path for suffix in _SUFFIXES.values() for path in folder.glob(f"*{suffix}")):
        if not image.with_suffix(".json").exists():
            image.unlink(missing_ok=True)


def text(label: str, taken: datetime, consistent: Consistency, instance: Instance, *, data: bool) -> bytes:
    """The record of a snapshot."""
    values = {
        "format": FORMAT,
        "label": label,
        "taken": taken.isoformat(),
        "consistent": consistent.value,
        "instance": to_record(instance),
        "data": data,
    }
    return json.dumps(values).encode()


def listed(store: Store, instance: Instance) -> list[Snapshot]:
    """Oldest first. Corrupt, naming the file, for a damaged record."""
    folder = store.folder(instance.uuid) / SNAPSHOTS
    own = {image.with_suffix(".json") for image in shared.images(store.overlay(instance.uuid), folder)}
    found = [loaded(path) for path in set(folder.glob("*.json")) - own if not path.name.startswith(".")]
    return sorted(found, key=lambda snapshot: snapshot.taken)


def loaded(path: Path) -> Snapshot:
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
    image = image_of(store, instance, label, kind)
    whole = record_of(store, instance, label).exists() and image.exists()
    if not whole or shared.is_overlay(image, store.overlay(instance.uuid)):
        raise NotFound(
            f"{instance.name} has no snapshot {label!r}", hint=f"skinnybox snapshot list {instance.name}"
        )
    yield image


def delete(store: Store, instance: Instance, label: str) -> None:
    """Idempotent. For who is alone. The record goes first: what is half gone is no snapshot any more."""
    record = record_of(store, instance, label)
    with translated():
        record.unlink(missing_ok=True)
        for kind in DiskKind:
            image_of(store, instance, label, kind).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            record.parent.rmdir()


def image_of(store: Store, instance: Instance, label: str, kind: DiskKind = DiskKind.OVERLAY) -> Path:
    return store.folder(instance.uuid) / SNAPSHOTS / f"{check_label(label)}{_SUFFIXES[kind]}"


def record_of(store: Store, instance: Instance, label: str) -> Path:
    return store.folder(instance.uuid) / SNAPSHOTS / f"{check_label(label)}.json"
