"""A larger overlay made from a smaller one: built beside it, never in place."""

import os
from pathlib import Path

from skinnybox.errors import CommandFailed, Corrupt, TimedOut, Unsupported
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.format import BLOCK, LABEL
from skinnybox.sandbox.confinement import path_of
from skinnybox.sandbox.process import confined
from skinnybox.sizes import format_size

_CPU_SECONDS = 600
_CORRECTED = (0, 1)


def grow(old: Path, new: Path, operation: Operation) -> None:
    """Fill `new`, a blank file of the larger size, with the overlay `old`; the filesystem takes all of it.

    Both programs that parse what the guest wrote are confined, and have only `new`. Raises Corrupt when the
    old one is damaged (its machine could not start from it either), Unsupported when it cannot be so large.
    """
    with old.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
        copy_data(source.fileno(), target.fileno(), operation)
        size = os.fstat(target.fileno()).st_size
        _check(target.fileno())
        _resize(target.fileno(), size)
        os.fchown(target.fileno(), os.geteuid(), os.getegid())
    _verify(old, new, size)


def _check(descriptor: int) -> None:
    """Also replays the journal of a machine that crashed."""
    try:
        _confined("e2fsck", "-fp", path_of(descriptor), descriptor=descriptor)
    except (CommandFailed, TimedOut) as error:
        hint = "reset gives the machine a fresh overlay; what it wrote is lost then"
        raise Corrupt(f"the overlay is damaged: {error.message}", hint=hint) from error


def _resize(descriptor: int, size: int) -> None:
    try:
        _confined("resize2fs", path_of(descriptor), str(size // BLOCK), descriptor=descriptor)
    except (CommandFailed, TimedOut) as error:
        raise Unsupported(
            f"its filesystem cannot grow to {format_size(size)}: {error.message}",
            hint="a new machine with a larger overlay takes it over: an overlay is made to grow 16 times",
        ) from error


def _confined(*words: str, descriptor: int) -> None:
    confined(
        words,
        cpu_seconds=_CPU_SECONDS,
        file_size=os.fstat(descriptor).st_size,
        ok=_CORRECTED if words[0] == "e2fsck" else (0,),
        owned=[descriptor],
    )


def _verify(old: Path, new: Path, size: int) -> None:
    """With our own reader, before anybody boots from it."""
    shape = inspect.read_shape(new)
    if (shape.label, shape.size, shape.clean, shape.has_upper) != (LABEL, size, True, True):
        raise Corrupt(f"the grown overlay is not as it should be: {shape}")
    if inspect.read_base(new) != inspect.read_base(old):
        raise Corrupt("the grown overlay does not say any more what it belongs to")
