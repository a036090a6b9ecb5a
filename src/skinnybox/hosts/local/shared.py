"""Snapshots of a local store that are the overlay's own file by a second name.

A rebase gives the overlay its second name before another file takes its first: so nothing is copied, and the
old one is never without a name. Who is killed in between leaves a snapshot that would change with the
overlay. That is none: nobody lists or opens it, and it goes before anybody writes to the overlay.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from skinnybox.overlays import lock

SNAPSHOTS = "snapshots"


def is_overlay(image: Path, overlay: Path) -> bool:
    """Whether both are one file; not when either is not there."""
    try:
        return os.path.samestat(image.lstat(), overlay.lstat())
    except FileNotFoundError:
        return False


def images(overlay: Path, snapshots: Path) -> Iterator[Path]:
    """Those of the snapshots' images that are the overlay."""
    try:
        if overlay.lstat().st_nlink == 1:
            return
    except FileNotFoundError:
        return
    yield from (image for image in snapshots.glob("*.img") if is_overlay(image, overlay))


def drop(overlay: Path, snapshots: Path) -> None:
    """For who has the overlay's lock, so that nobody is giving it that name just now. The record goes first:
    what is half gone is no snapshot."""
    for image in list(images(overlay, snapshots)):
        image.with_suffix(".json").unlink(missing_ok=True)
        image.unlink(missing_ok=True)


def acquire(disk: Path) -> int:
    """For the start of a machine: lock.acquire, against every other QEMU as well, of a disk that is nobody's
    snapshot then."""
    descriptor = lock.acquire(disk)
    try:
        lock.against_qemu(descriptor, disk)
        drop(disk, disk.with_name(SNAPSHOTS))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
