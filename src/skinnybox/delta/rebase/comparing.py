"""Whether an overlay that was altered is what it was to be, by a confined process that reads it again."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from skinnybox.delta.rebase.standing import compare
from skinnybox.errors import Corrupt
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, ask

_HASHED_PER_SECOND = 20 << 20


def verify(disk: Path, lines: int) -> None:
    """`lines` is an open file of standing.py's. Raises Corrupt."""
    with opened(disk) as device:
        bounds = Bounds(cpu_seconds=300 + os.fstat(device).st_size // _HASHED_PER_SECOND)
        words = [str(device), str(lines)]
        found = ask(__name__, words, subject="the new overlay", bounds=bounds, pass_fds=[device, lines])
    if found is not True:
        raise Corrupt("the new overlay was not compared")


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    device, lines = map(int, arguments)
    answer(_compared(device, lines))


def _compared(device: int, lines: int) -> Iterator[bool]:
    yield from compared(open_descriptor(device), lines)


def compared(volume: Volume, lines: int) -> Iterator[bool]:
    """True, or Corrupt."""
    if not volume.superblock.clean:
        raise Corrupt("it is not clean")
    with os.fdopen(lines, "rb", 1 << 18) as expected:
        expected.seek(0)
        compare(expected, volume, volume.walk(b"upper"))
    if volume.names(b"work"):
        raise Corrupt("what overlayfs keeps of the old stack is still there")
    yield True
