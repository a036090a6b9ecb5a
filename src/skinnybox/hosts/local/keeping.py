"""An overlay of a local store kept as a snapshot, and a snapshot put in its place: by names alone."""

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from skinnybox import private
from skinnybox.durable import sync
from skinnybox.errors import Unsupported
from skinnybox.hosts.local import shared, snapshots
from skinnybox.hosts.local.store import (
    Store,
    sweep,
    translated,
    write_atomically,
)
from skinnybox.model import Consistency, Instance
from skinnybox.overlays import lock

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


@contextmanager
def kept(store: Store, instance: Instance, label: str) -> Iterator[None]:
    """In the block the overlay has its second name, and the record of the snapshot it is to be, on the disk;
    the block puts another in its place. Both go again when it does not. For who is alone."""
    record, image = snapshots.record_of(store, instance, label), snapshots.image_of(store, instance, label)
    snapshots.refuse_taken(store, instance, label)
    private.make_folder(record.parent)
    snapshots.sweep_half(record.parent)
    overlay = store.overlay(instance.uuid)
    text = snapshots.text(label, datetime.now(UTC), Consistency.STOPPED, instance, data=False)
    try:
        _link(overlay, image)
        write_atomically(record, text)
        sync(record)
        sync(record.parent)
        sync(record.parent.parent)
        yield
    finally:
        shared.drop(overlay, record.parent)


def _link(overlay: Path, image: Path) -> None:
    try:
        os.link(overlay, image)
    except OSError as error:
        if error.errno in _NO_LINKS:
            what = "the filesystem of the state folder has no hard links, by which an overlay is kept"
            raise Unsupported(what, hint="a state folder on ext4, XFS or btrfs") from error
        raise


def swap(
    store: Store, instance: Instance, label: str, aside: str, look: Callable[[Path, Path], None]
) -> None:
    """See swap_overlay in keeping.py. The snapshot gets the overlay's name by one rename of a second name of
    its own; by then the overlay has its second one."""
    folder, overlay = store.folder(instance.uuid), store.overlay(instance.uuid)
    beside = folder / f".{secrets.token_hex(8)}.new"
    with translated(), snapshots.exclusive(store, instance), lock.exclusive(overlay):
        sweep(folder)
        with snapshots.opened(store, instance, label) as image, lock.exclusive(image):
            look(overlay, image)
            try:
                with kept(store, instance, aside):  # which in the end takes its other name from the overlay
                    _link(image, beside)
                    put_in_place(beside, overlay)
                    sync(folder)
            finally:
                beside.unlink(missing_ok=True)


def put_in_place(beside: Path, target: Path) -> None:
    beside.replace(target)
