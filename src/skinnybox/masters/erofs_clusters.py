"""Where in an EROFS image the pieces of a compressed file lie: the kernel's fs/erofs/zmap.c.

A file is cut into logical clusters of one block. Each has an entry, which says that a piece begins in it, at
which byte of it, and in which block that piece is packed; or that it only goes on there. Where pieces may be
packed into several blocks, the first entry that goes on says into how many. Entries come in full (8 bytes
each) or, as a rule, compact: two in 8 bytes, or sixteen in 32, with one block number for them all.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from skinnybox.errors import Corrupt, Unsupported

_PLAIN, _HEAD, _NONHEAD = 0, 1, 2
_COMPACT_2B, _LARGE, _LARGE_OF_SECOND, _INTERLACED = 1, 2, 4, 16
_KNOWN = _COMPACT_2B | _LARGE | _LARGE_OF_SECOND | _INTERLACED
_COUNT = 1 << 11
"""In an entry that goes on: what else it says is how many blocks the piece is packed into."""
_MOST_PACKED = 1 << 20
HEADER = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """`start` is its first byte in the file, `block` where it is stored, packed into so many `blocks`, or
    not."""

    start: int
    block: int
    packed: bool
    blocks: int = 1


@dataclass(frozen=True, slots=True)
class Header:
    advice: int
    bits: int

    @property
    def interlaced(self) -> bool:
        return bool(self.advice & _INTERLACED)

    @property
    def large(self) -> bool:
        return bool(self.advice & _LARGE)


def header(data: bytes, block_bits: int) -> Header:
    """Unsupported for what mkfs.erofs makes only when it is asked to: other algorithms, tails packed
    together."""
    _, _, advice, algorithm, bits = struct.unpack_from("<HHHBB", data)
    if advice & ~_KNOWN or algorithm & 15 or bits & 0x87:
        raise Unsupported(
            f"a file is packed in a way that is not read here ({advice:#x}, {algorithm}, {bits:#x})"
        )
    return Header(advice, block_bits)


def table_size(size: int, head: Header, *, start: int, compact: bool) -> int:
    """Bytes of the entries of a file of `size`, of which the first is at `start` of the image."""
    count = -(-size // (1 << head.bits))
    if not compact:
        return 8 + 8 * count
    return sum(length for length, _ in _packs(start, count, head))


def pieces(table: bytes, size: int, head: Header, *, start: int, compact: bool) -> list[Piece]:
    """In order; each ends where the next begins, the last with the file. Corrupt where that cannot be."""
    count = -(-size // (1 << head.bits))
    entries = _compact(table, start, count, head) if compact else _full(table, count)
    found: list[Piece] = []
    before = _NONHEAD
    for number, (kind, offset, block) in enumerate(entries):
        if kind == _NONHEAD:
            if head.large and before == _HEAD and offset & _COUNT:
                found[-1] = _packed_into(found[-1], offset & ~_COUNT, head)
            before = kind
            continue
        if kind not in (_PLAIN, _HEAD) or offset >= 1 << head.bits:
            raise Corrupt("an entry of a packed file is of no kind that there is")
        begins, before = (number << head.bits) + offset, kind
        if begins >= size:
            break
        found.append(Piece(begins, block, kind == _HEAD))
    if size and (not found or found[0].start):
        raise Corrupt("a packed file has no beginning")
    return found


def _packed_into(piece: Piece, blocks: int, head: Header) -> Piece:
    if not 0 < blocks << head.bits <= _MOST_PACKED:
        raise Corrupt(f"a piece is packed into {blocks} blocks")
    return replace(piece, blocks=blocks)


Entry = tuple[int, int, int]
"""Its kind, the offset of a head in it (of what goes on: see _COUNT), and the block of a head."""


def _full(table: bytes, count: int) -> Iterator[Entry]:
    for advice, offset, block in struct.iter_unpack("<HHI", table[8 : 8 + 8 * count]):
        kind = advice & 3
        yield kind, block & 0xFFFF if kind == _NONHEAD else offset, block


def _packs(start: int, count: int, head: Header) -> Iterator[tuple[int, int]]:
    """Bytes and entries of each pack. Those of 32 bytes are aligned: what is before them, and after, comes in
    small ones."""
    first = (32 - start % 32) // 4 % 8
    middle = (count - first) // 16 * 16 if head.advice & _COMPACT_2B and first < count else 0
    yield from _some(first if middle else count, 8, 2)
    if middle:
        yield from _some(middle, 32, 16)
        yield from _some(count - first - middle, 8, 2)


def _some(count: int, length: int, each: int) -> Iterator[tuple[int, int]]:
    for _ in range(-(-count // each)):
        yield length, each


def _compact(table: bytes, start: int, count: int, head: Header) -> Iterator[Entry]:
    at, left = 0, count
    for length, each in _packs(start, count, head):
        pack = table[at : at + length]
        if len(pack) < length:
            raise Corrupt("the entries of a packed file are cut off")
        at += length
        for entry in _unpacked(pack, each, head):
            if left:
                left -= 1
                yield entry


def _unpacked(pack: bytes, each: int, head: Header) -> Iterator[Entry]:
    """The pieces of a pack lie one behind the other. The number that a pack has is that of its first piece,
    and one less where each takes one block alone."""
    width = (len(pack) - 4) * 8 // each
    value, block = int.from_bytes(pack[:-4], "little"), int.from_bytes(pack[-4:], "little")
    alone = not head.large  # whether the piece before takes a block of which nobody has said so
    for number in range(each):
        entry = value >> number * width & (1 << width) - 1
        kind, offset = entry >> head.bits & 3, entry & (1 << head.bits) - 1
        if kind != _NONHEAD:
            block, alone = block + int(alone), True
        elif head.large and offset & _COUNT:
            block, alone = block + (offset & ~_COUNT), False
        yield kind, offset, block
