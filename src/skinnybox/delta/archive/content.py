"""What is in a file of a disk that a guest wrote to: where it has holes, and a digest of it.

Only in a confined process. A guest may make files of terabytes that hold nothing: so no work here follows
from a file's size, only from what it holds.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

from skinnybox.errors import Unsupported
from skinnybox.ext4 import Node, Volume

BLOCK = 1 << 16
"""Bytes that a digest takes together."""
_PIECE = 1 << 20
_LEAST_HOLE = 1 << 16
_MOST_RUNS = 1 << 16
_MOST_KNOWN = 1 << 12
_MOST_ZEROS = 16
"""Times what a file holds it may become by holes that are told as zeros, where there are too many."""
_ZEROS = bytes(_PIECE)

Run = tuple[int, int]
"""(offset, length) in bytes."""
Extent = tuple[int, int, int]


class ContentSum:
    """The digest of a content of `size` bytes, given in pieces in their order; what no piece says is zeros.

    It is the sha256 over each block of BLOCK bytes (the last may be shorter) that does not consist of zeros,
    the block's number before it in eight bytes. So it follows from the content alone, and not from where
    there are holes.
    """

    def __init__(self, size: int) -> None:
        self._digest = hashlib.sha256()
        self._size = size
        self._number = -1
        self._part = bytearray()

    def add(self, offset: int, piece: bytes) -> None:
        view, at = memoryview(piece), 0
        while at < len(piece):
            number, within = divmod(offset + at, BLOCK)
            part = view[at : at + BLOCK - within]
            if number != self._number:
                self._flush()
                self._number = number
            if not within and len(part) == self._length(number):
                self._block(part)
            else:
                self._part += bytes(within - len(self._part))
                self._part += part
            at += len(part)

    def hex(self) -> str:
        """When all was given."""
        self._flush()
        return self._digest.hexdigest()

    def _length(self, number: int) -> int:
        return min(BLOCK, self._size - number * BLOCK)

    def _flush(self) -> None:
        if self._part:
            self._part += bytes(self._length(self._number) - len(self._part))
            whole, self._part = bytes(self._part), bytearray()
            self._block(memoryview(whole))

    def _block(self, block: memoryview) -> None:
        if block[0] or bytes(block) != _ZEROS[: len(block)]:
            self._digest.update(self._number.to_bytes(8, "big"))
            self._digest.update(block)


def sum_of_block(block: bytes) -> str:
    """The same of a content that is no longer than one."""
    told = bytes(8) + block if block.strip(b"\0") else b""
    return hashlib.sha256(told).hexdigest()


class Layout:
    """Which parts of a file are to be told, the holes between them being worth to be left out: few enough of
    them to be listed. Raises Unsupported for a file of which that would be nearly nothing but zeros."""

    def __init__(self, volume: Volume, node: Node) -> None:
        self._volume, self._node = volume, node
        self._inline = not volume.in_extents(node)
        self._least = _LEAST_HOLE
        self._known: list[Extent] | None = None
        self.written = 0
        """Bytes that the disk has of it, beside what is in its inode."""
        self.runs: list[Run] = [(0, node.size)] if self._inline else self._joined()
        self.held = sum(length for _, length in self.runs)
        """Bytes in the runs."""
        if self._least > _LEAST_HOLE and self.held > _MOST_ZEROS * self.written:
            raise Unsupported(
                f"a file of {node.size} bytes with more holes than an archive can tell",
                hint="write it anew in the machine, with fewer: `cp --sparse=never`",
            )

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of all that is in the runs, holes in them as zeros; at most 1 MiB each."""
        if self._inline:
            yield from _pieces(0, self._volume.read(self._node))
            return
        position = 0
        for logical, physical, length in self._extents():
            if logical - position < self._least:
                yield from _pieces(position, _zeros(logical - position))
            yield from _pieces(logical, self._volume.raw(physical, length))
            position = logical + length
        if self._node.size - position < self._least:
            yield from _pieces(position, _zeros(self._node.size - position))

    def _extents(self) -> Iterable[Extent]:
        """They are read once, unless there are many of them."""
        if self._known is None:
            first = list(islice(self._volume.extents(self._node), _MOST_KNOWN + 1))
            if len(first) > _MOST_KNOWN:
                return self._volume.extents(self._node)
            self._known = first
        return self._known

    def _joined(self) -> list[Run]:
        runs: list[Run] = [(0, 0)]
        for logical, _, length in self._extents():
            self._add(runs, logical, length)
            self.written += length
            while len(runs) > _MOST_RUNS:
                self._least *= 4
                again: list[Run] = [(0, 0)]
                for offset, count in runs:
                    self._add(again, offset, count)
                runs = again
        if self._node.size - sum(runs[-1]) < self._least:
            self._add(runs, self._node.size, 0)
        return runs if runs[0][1] else runs[1:]

    def _add(self, runs: list[Run], offset: int, length: int) -> None:
        start, count = runs[-1]
        if offset - start - count < self._least:
            runs[-1] = (start, offset + length - start)
        else:
            runs.append((offset, length))


def content_sum(volume: Volume, node: Node, layout: Layout | None = None) -> str:
    total = ContentSum(node.size)
    for offset, piece in (layout or Layout(volume, node)).pieces():
        total.add(offset, piece)
    return total.hex()


def held_sum(volume: Volume, node: Node) -> str:
    """The same as content_sum, of a file with any number of holes."""
    total = ContentSum(node.size)
    for offset, piece in _held(volume, node):
        total.add(offset, piece)
    return total.hex()


def _held(volume: Volume, node: Node) -> Iterator[tuple[int, bytes]]:
    if not volume.in_extents(node):
        yield from _pieces(0, volume.read(node))
        return
    for logical, physical, length in volume.extents(node):
        yield from _pieces(logical, volume.raw(physical, length))


def _pieces(offset: int, found: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for piece in found:
        yield offset, piece
        offset += len(piece)


def _zeros(length: int) -> Iterator[bytes]:
    """Less than a few MiB of them, but for a file in more pieces than are listed."""
    while length > 0:
        yield _ZEROS[:length]
        length -= len(_ZEROS)
