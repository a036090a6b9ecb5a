"""Reading files of an EROFS image without mounting it: what mkfs.erofs makes of a master, plain or lz4hc.

Used in a confined process (see sandbox.reader): the image is ours, but what is in it a stranger arranged.
All sizes are checked before anything is made of them.
"""

import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from skinnybox.errors import Corrupt, NotFound, Unsupported
from skinnybox.masters import erofs_clusters, lz4

_SUPERBLOCK, _MAGIC = 1024, 0xE0F5E1E2
_ZERO_PADDED, _DESCRIBED = 1, 2
_UNPACKED, _FULL, _INLINE, _COMPACT = range(4)
_LAYOUTS = (_UNPACKED, _FULL, _INLINE, _COMPACT)
_MOST_IN_FOLDER = 64 << 20
_LONGEST_LINK = 4096
_PIECE = 1 << 20
_MOST_UNPACKED = 1 << 30
"""Bytes of a packed file: a hostile size would be a table without an end."""
Read = Callable[[int, int], bytes]
"""So many bytes from an offset on, or fewer at the end."""


@dataclass(frozen=True, slots=True)
class Node:
    """`place` is where it lies in the image; `data` the block of its content, `after` what follows its
    metadata: its tail, or where its pieces are."""

    mode: int
    size: int
    layout: int
    data: int
    after: int
    uid: int
    gid: int


class ErofsImage:
    """Raises Corrupt and Unsupported; NotFound for a path that is not there. Paths as in the index."""

    def __init__(self, read: Read) -> None:
        self._source = read
        found = self._bytes(_SUPERBLOCK, 128)
        magic, _, _, self._bits, _, self.root = struct.unpack_from("<IIIBBH", found)
        self._meta, needs = struct.unpack_from("<I", found, 40)[0], struct.unpack_from("<I", found, 80)[0]
        if magic != _MAGIC or not 12 <= self._bits <= 16:
            raise Corrupt("it is no EROFS image")
        if needs & ~(_ZERO_PADDED | _DESCRIBED):
            raise Unsupported(f"the image uses features that are not read here ({needs:#x})")
        self._needs = needs
        self._block = 1 << self._bits
        self.names = lru_cache(maxsize=4096)(self._names)
        self._laid = lru_cache(maxsize=8)(self._pieces_of)

    def lookup(self, path: bytes) -> Node:
        """No symlink is followed."""
        return self.node(self._number(path))

    def read(self, node: Node, limit: int) -> bytes:
        """Its first bytes."""
        wanted = min(node.size, limit)
        return b"".join(self._content(node, wanted))[:wanted] if wanted > 0 else b""

    def pieces(self, node: Node) -> Iterator[bytes]:
        """All of it, in pieces of some size."""
        return self._content(node, node.size) if node.size else iter(())

    def part(self, node: Node, at: int, length: int) -> bytes:
        """So many of its bytes from an offset on, or fewer at its end. Nothing else is unpacked."""
        end = min(node.size, at + length)
        return b"".join(self._content(node, end, at)) if at < end else b""

    def node(self, number: int) -> Node:
        at = (self._meta << self._bits) + number * 32
        found = self._bytes(at, 32)
        form, attributes, mode = struct.unpack_from("<HHH", found)
        layout, extended = form >> 1 & 7, form & 1
        if layout not in _LAYOUTS:
            raise Unsupported(f"an inode has a layout that is not read here ({layout})")
        if extended:
            found = self._bytes(at, 64)
            (size, data), owner = struct.unpack_from("<QI", found, 8), struct.unpack_from("<II", found, 24)
        else:
            (size, _, data), owner = (
                struct.unpack_from("<III", found, 8),
                struct.unpack_from("<HH", found, 24),
            )
        after = at + (64 if extended else 32) + (12 + 4 * (attributes - 1) if attributes else 0)
        return Node(mode, size, layout, data, after, *owner)

    def _number(self, path: bytes) -> int:
        number: int = self.root
        for part in path.split(b"/") if path else []:
            if part in (b"", b".", b".."):
                raise NotFound(f"{path!r} is no path")
            number = self._below(number, part, path)
        return number

    def _below(self, number: int, part: bytes, path: bytes) -> int:
        below = self.names(number).get(part) if stat.S_ISDIR(self.node(number).mode) else None
        if below is None:
            raise NotFound(f"{path!r} is not in the image")
        return below[0]

    def children(self, path: bytes) -> dict[bytes, tuple[int, int]]:
        """Number and kind (1 a file, 2 a folder, 7 a symlink) of what a folder holds; empty for no folder."""
        try:
            number = self._number(path)
        except NotFound:
            return {}
        return self.names(number) if stat.S_ISDIR(self.node(number).mode) else {}

    def target(self, number: int) -> bytes:
        node = self.node(number)
        if not stat.S_ISLNK(node.mode) or node.size > _LONGEST_LINK:
            raise Corrupt("a symlink is none, or longer than one can be")
        return self.read(node, _LONGEST_LINK)

    def _names(self, number: int) -> dict[bytes, tuple[int, int]]:
        node = self.node(number)
        if node.size > _MOST_IN_FOLDER:
            raise Corrupt("a folder is larger than any can be")
        found: dict[bytes, tuple[int, int]] = {}
        content = self.read(node, node.size)
        for start in range(0, len(content), self._block):
            found.update(_entries(content[start : start + self._block]))
        found.pop(b".", None)
        found.pop(b"..", None)
        return found

    def _content(self, node: Node, end: int, at: int = 0) -> Iterator[bytes]:
        """From one offset to another; pieces that are packed come whole, what is before or behind is cut."""
        if node.layout in (_FULL, _COMPACT):
            yield from self._unpacked(node, end, at)
            return
        blocks = -(-node.size // self._block) - (1 if node.layout == _INLINE else 0)
        whole = blocks * self._block
        first, start = min(end, whole), (node.data << self._bits)
        for offset in range(at, first, _PIECE):
            yield self._bytes(start + offset, min(_PIECE, first - offset))
        if end > whole:
            begin = max(at, whole)
            yield self._bytes(node.after + begin - whole, end - begin)

    def _unpacked(self, node: Node, end: int, at: int) -> Iterator[bytes]:
        found, interlaced = self._laid(node)
        ends = [piece.start for piece in found[1:]] + [node.size]
        for piece, stop in zip(found, ends, strict=True):
            if piece.start >= end:
                break
            if stop > at:
                content = self._piece(piece, min(stop, end) - piece.start, interlaced=interlaced)
                yield content[max(at - piece.start, 0) :]

    def _pieces_of(self, node: Node) -> tuple[list[erofs_clusters.Piece], bool]:
        if not self._needs & _ZERO_PADDED:
            raise Unsupported("the image is of before Linux 5.4")
        if node.size > _MOST_UNPACKED:
            raise Unsupported(f"a packed file of {node.size} bytes is not read here")
        compact, at = node.layout == _COMPACT, -(-node.after // 8) * 8
        head = erofs_clusters.header(self._bytes(at, erofs_clusters.HEADER), self._bits)
        start = at + erofs_clusters.HEADER
        length = erofs_clusters.table_size(node.size, head, start=start, compact=compact)
        table = self._bytes(start, length)
        found = erofs_clusters.pieces(table, node.size, head, start=start, compact=compact)
        return found, head.interlaced

    def _piece(self, piece: erofs_clusters.Piece, size: int, *, interlaced: bool) -> bytes:
        block = self._bytes(piece.block << self._bits, piece.blocks << self._bits)
        if piece.packed:
            return lz4.unpack(block.lstrip(b"\0"), size)
        if size > self._block:
            raise Corrupt("a piece is larger than its block")
        if interlaced:
            turn = piece.start % self._block
            block = block[turn:] + block[:turn]
        return block[:size]

    def _bytes(self, at: int, length: int) -> bytes:
        found = self._source(at, length)
        if len(found) != length:
            raise Corrupt("it points to beyond its end")
        return found


def _entries(block: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Of one block of a folder: fixed entries, then the names they point to, the last up to its end."""
    first = struct.unpack_from("<H", block, 8)[0] if len(block) >= 12 else 0
    if not 12 <= first <= len(block):
        raise Corrupt("a folder has a block that is none")
    heads = [struct.unpack_from("<QHB", block, at) for at in range(0, first - 11, 12)]
    ends = [head[1] for head in heads[1:]] + [len(block)]
    for (number, begin, kind), end in zip(heads, ends, strict=True):
        yield block[begin:end].partition(b"\0")[0], (number, kind)
