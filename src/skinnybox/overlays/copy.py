"""Copies of whole overlays: their holes stay holes, and no block is shared with the overlay.

A shared block would have to be copied when the guest next writes to it, and then the space that was promised
to it may not be there.
"""

import os
from collections.abc import Iterator

from skinnybox.operation import Operation
from skinnybox.overlays import space

_PIECE = 1 << 20
_BLOCK = 4096
_ZEROS = bytes(_PIECE)


def data_size(source: int) -> int:
    """What a copy of an open file takes at most, in bytes."""
    return sum(end - start for start, end in space.data_ranges(source))


def copy_data(source: int, target: int, operation: Operation) -> None:
    """Write what `source` holds to where it is in `target`, which reads as zeros there. Cancelled between two
    pieces."""
    for start, end in space.data_ranges(source):
        for offset in range(start, end, _PIECE):
            operation.check("copy")
            data = os.pread(source, min(_PIECE, end - offset), offset)
            for first, last in _written(data):
                _write(target, data[first:last], offset + first)


def dig_holes(descriptor: int) -> None:
    """Give back the blocks of an open file that hold only zeros. Best effort: not every filesystem can."""
    for start, end in space.data_ranges(descriptor):
        for offset in range(start - start % _BLOCK, end, _PIECE):
            data = os.pread(descriptor, min(_PIECE, end - offset), offset)
            position = 0
            for first, last in (*_written(data), (len(data), len(data))):
                if first > position and not space.punch(descriptor, offset + position, first - position):
                    return
                position = last


def _written(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of the runs of blocks that are not zero."""
    if data == _ZEROS[: len(data)]:
        return
    begun = None
    for offset in range(0, len(data), _BLOCK):
        block = data[offset : offset + _BLOCK]
        if block == _ZEROS[: len(block)]:
            if begun is not None:
                yield begun, offset
            begun = None
        elif begun is None:
            begun = offset
    if begun is not None:
        yield begun, len(data)


def _write(target: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(target, data, offset)
        data, offset = data[written:], offset + written
