"""What is written down while a plan becomes edits, in files none of which is held; and the room it takes."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from skinnybox.delta.rebase.orders import encoded
from skinnybox.errors import Corrupt
from skinnybox.ext4 import Node
from skinnybox.overlays.contents import stored
from skinnybox.overlays.edits import Alteration, Creation, Removal, Stretch, Xattrs

_IN_INODE = 64
"""Bytes of attributes that surely lie in an inode of 256."""
_SECTOR = 512
_MOST_PATH = 4150


@dataclass(slots=True)
class Need:
    """At most, of the disk: `blocks` of that size. What removals give back comes first."""

    block: int
    blocks: int = 0
    inodes: int = 0
    freed: int = 0
    freed_inodes: int = 0

    def create(self, edit: Creation) -> None:
        self.inodes += 1
        length = stored(edit.content) if edit.content else len(edit.target or b"")
        # A block for the name, which may be the first that does not fit, one for a folder's own names, and
        # one of a tree of extents.
        self.blocks += -(-length // self.block) + 2 + length // (self.block << 9)
        self.attributes(edit.xattrs)

    def remove(self, node: Node) -> None:
        """What has another name stays."""
        if node.links == 1:
            self.freed_inodes += 1
            self.freed += node.sectors * _SECTOR // self.block if node.type == "-" else 0

    def attributes(self, xattrs: Xattrs) -> None:
        self.blocks += sum(value.length + len(name) for name, value in xattrs) > _IN_INODE


class Contents:
    """Bytes, one after the other, in an open file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = 0

    def add(self, content: bytes) -> Stretch:
        return self.copy([content])[0]

    def copy(self, pieces: Iterable[bytes]) -> tuple[Stretch, str]:
        """With the digest of it."""
        start, digest = self._end, hashlib.sha256()
        for piece in pieces:
            self._file.write(piece)
            digest.update(piece)
            self._end += len(piece)
        return Stretch(start, self._end - start), digest.hexdigest()

    def attributes(self, xattrs: Mapping[str, bytes]) -> Xattrs:
        return tuple((name, self.add(value)) for name, value in sorted(xattrs.items()))


@dataclass(kw_only=True)
class Written:
    """`index`: a large directory got a name, and lost its index by that."""

    removals: BinaryIO
    changes: BinaryIO
    lines: BinaryIO
    contents: Contents
    need: Need
    count: int = 0
    index: bool = False
    tasks: set[str] = field(default_factory=set)

    def remove(self, edit: Removal) -> None:
        """Before all changes."""
        self.removals.write(encoded(edit))
        self.count += 1

    def alter(self, edit: Alteration) -> None:
        self.changes.write(encoded(edit))
        self.need.attributes(edit.xattrs)
        self.count += 1

    def create(self, edit: Creation) -> None:
        if len(edit.path) > _MOST_PATH:
            raise Corrupt("a path would be too long")
        self.changes.write(encoded(edit))
        self.need.create(edit)
        self.count += 1

    def line(self, line: bytes) -> None:
        """Of standing.py."""
        self.lines.write(line)
