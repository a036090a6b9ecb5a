"""A larger overlay made from a smaller one: built beside it, never in place."""

import os
from pathlib import Path

from skinnybox.errors import CommandFailed, Corrupt, TimedOut, Unsupported
from skinnybox.model import DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.e2fsprogs import on_disk
from skinnybox.overlays.format import BLOCK, LABELS, NAMED
from skinnybox.sizes import format_size

_CPU_SECONDS = 600
_CORRECTED = (0, 1)


def grow(old: Path, new: Path, operation: Operation, kind: DiskKind = DiskKind.OVERLAY) -> None:
    """Fill `new`, a blank file of the larger size, with the disk `old`; the filesystem takes all of it.

    Both programs that parse what the guest wrote are confined, and have only `new`. Raises Corrupt when the
    old one is damaged (its machine could not start from it either), Unsupported when it cannot be so large.
    """
    with old.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
        copy_data(source.fileno(), target.fileno(), operation)
        size = os.fstat(target.fileno()).st_size
        _check(target.fileno(), kind)
        _resize(target.fileno(), size)
        os.fchown(target.fileno(), os.geteuid(), os.getegid())
    _verify(old, new, size, kind)


def _check(descriptor: int, kind: DiskKind) -> None:
    """Also replays the journal of a machine that crashed."""
    try:
        on_disk(descriptor, "e2fsck", "-fp", cpu_seconds=_CPU_SECONDS, ok=_CORRECTED)
    except (CommandFailed, TimedOut) as error:
        raise damaged(kind, error.message) from error


def _resize(descriptor: int, size: int) -> None:
    try:
        on_disk(descriptor, "resize2fs", cpu_seconds=_CPU_SECONDS, more=[str(size // BLOCK)])
    except (CommandFailed, TimedOut) as error:
        raise Unsupported(
            f"its filesystem cannot grow to {format_size(size)}: {error.message}",
            hint="a new machine with a larger overlay takes it over: an overlay is made to grow 16 times",
        ) from error


def damaged(kind: DiskKind, why: str) -> Corrupt:
    """What is done about it differs: nobody throws data away to have a disk that mounts."""
    if kind is DiskKind.DATA:
        return Corrupt(
            f"the data disk is damaged: {why}", hint="put it back from a snapshot that has it, or a backup"
        )
    hint = "reset gives the machine a fresh overlay; what it wrote is lost then"
    return Corrupt(f"the overlay is damaged: {why}", hint=hint)


def _verify(old: Path, new: Path, size: int, kind: DiskKind) -> None:
    """With our own reader, before anybody boots from it."""
    shape = inspect.read_shape(new)
    has_upper = kind is DiskKind.OVERLAY
    if (shape.label, shape.size, shape.clean, shape.has_upper) != (LABELS[kind], size, True, has_upper):
        raise Corrupt(f"{NAMED[kind]} that was grown is not as it should be: {shape}")
    if inspect.read_base(new) != inspect.read_base(old):
        raise Corrupt(f"{NAMED[kind]} that was grown does not say any more what it belongs to")
