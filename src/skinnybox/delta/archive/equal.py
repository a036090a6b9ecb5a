"""Whether a disk that was filled is what an index says, by a confined process that reads it again."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from skinnybox.delta.archive.content import content_sum
from skinnybox.delta.archive.form import MOST_LINE, TREES, line_of
from skinnybox.delta.archive.reading import ROOM
from skinnybox.delta.archive.structure import tree_of
from skinnybox.delta.archive.walking import walked
from skinnybox.delta.rebase.reading import buffered
from skinnybox.errors import Corrupt, NoSpace
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.model import DiskKind
from skinnybox.sandbox.reader import answer

_FULL = 64
"""Blocks: with fewer left, what is missing found no room."""


def main(arguments: Sequence[str]) -> None:
    """In the confined child: of which kind the disk is, the disk, the index."""
    kind, *files = arguments
    answer(_compared(DiskKind(kind), *map(int, files)))


def _compared(kind: DiskKind, device: int, index: int) -> Iterator[bool]:
    volume = open_descriptor(device)
    if not volume.superblock.clean:
        raise Corrupt("it is not clean")
    wanted = _lines(buffered(index), kind)
    for found in told(volume, kind):
        if found != (text := next(wanted, b"")):
            raise _differs(volume, text or found)
    if text := next(wanted, b""):
        raise _differs(volume, text)
    yield True


def told(volume: Volume, kind: DiskKind) -> Iterator[bytes]:
    """The lines that an archive's index would have of this disk now."""
    for tree in TREES:
        if tree.disk is kind:
            for found in walked(volume, tree):
                is_file = found.node.type == "-" and not found.again
                yield found.text(content_sum(volume, found.node) if is_file else "")


def _lines(index: BinaryIO, kind: DiskKind) -> Iterator[bytes]:
    while text := index.readline(MOST_LINE):
        if tree_of(line_of(text)).disk is kind:
            yield text


def _differs(volume: Volume, text: bytes) -> Corrupt | NoSpace:
    block = volume.superblock
    if block.free_blocks < _FULL or not block.free_inodes:
        return NoSpace("it has no room for all that is in the archive", hint=ROOM)
    line = line_of(text)
    return Corrupt(f"{line.tree}/{line.path!r:.100} is not what the archive's index says: {text!r:.300}")
