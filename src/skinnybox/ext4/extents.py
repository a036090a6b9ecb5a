"""Where the bytes of an inode lie: extent trees, and the block maps of ext2 and ext3."""

import struct
from collections.abc import Iterator

from skinnybox.errors import Corrupt
from skinnybox.ext4.device import Device
from skinnybox.ext4.inode import EXTENTS, Node
from skinnybox.ext4.superblock import Superblock

_MAGIC = 0xF30A
_HEADER = struct.Struct("<HHHHI")
_LEAF = struct.Struct("<IHHI")
_INDEX = struct.Struct("<IIHH")
_MAX_DEPTH = 5
_MAX_WRITTEN = 1 << 15
_DIRECT = 12

Run = tuple[int, int, int]
"""Logical block, physical block, number of blocks."""


def runs(device: Device, superblock: Superblock, node: Node, *, unwritten: bool = False) -> Iterator[Run]:
    """The written runs that hold the node's first `size` bytes, ascending and apart; the gaps are zeros. With
    `unwritten` also those that are only kept for it.

    Raises Corrupt. The work is bounded by the size: a tree is left once it has come to the end of it.
    """
    end = -(-node.size // superblock.block_size)
    found = (
        _tree(device, superblock, node) if node.flags & EXTENTS else _mapped(device, superblock, node, end)
    )
    position = 0
    for logical, physical, count in found:
        if logical < position or count < 1:
            raise Corrupt(f"inode {node.inode}: its extents overlap or are out of order")
        if logical >= end:
            return
        position = logical + count
        if physical < 0 and not unwritten:
            continue
        physical = physical if physical >= 0 else ~physical
        if physical <= superblock.first_data_block or physical + count > superblock.blocks:
            raise Corrupt(f"inode {node.inode}: its data lies outside the volume")
        yield logical, physical, min(count, end - logical)


def _tree(device: Device, superblock: Superblock, node: Node) -> Iterator[Run]:
    """All extents; that of which the physical block is negative (its complement) was never written."""
    level = _level(node, node.map)
    if level > _MAX_DEPTH:
        raise Corrupt(f"inode {node.inode}: its extent tree is {level} levels deep")
    yield from _branch(device, superblock, node, node.map, level)


def _branch(device: Device, superblock: Superblock, node: Node, raw: bytes, level: int) -> Iterator[Run]:
    """Every branch holds an extent and extents must ascend, so a branch met twice ends the walk in `runs`."""
    for offset in range(_HEADER.size, _HEADER.size + _entries(node, raw) * _LEAF.size, _LEAF.size):
        if level == 0:
            logical, length, high, low = _LEAF.unpack_from(raw, offset)
            written = length <= _MAX_WRITTEN
            physical = high << 32 | low
            yield logical, physical if written else ~physical, length if written else length - _MAX_WRITTEN
            continue
        _, low, high, _ = _INDEX.unpack_from(raw, offset)
        child = _block(device, superblock, node, high << 32 | low)
        if _level(node, child) != level - 1 or not _entries(node, child):
            raise Corrupt(f"inode {node.inode}: its extent tree has a broken branch")
        yield from _branch(device, superblock, node, child, level - 1)


def _level(node: Node, raw: bytes) -> int:
    magic, _, _, level, _ = _HEADER.unpack_from(raw)
    if magic != _MAGIC:
        raise Corrupt(f"inode {node.inode}: a block of its extent tree is none")
    return int(level)


def _entries(node: Node, raw: bytes) -> int:
    _, entries, maximum, _, _ = _HEADER.unpack_from(raw)
    if not entries <= maximum <= (len(raw) - _HEADER.size) // _LEAF.size:
        raise Corrupt(f"inode {node.inode}: a block of its extent tree is overfull")
    return int(entries)


def _block(device: Device, superblock: Superblock, node: Node, number: int) -> bytes:
    if not superblock.first_data_block < number < superblock.blocks:
        raise Corrupt(f"inode {node.inode}: its block map leads outside the volume")
    return device.read(number * superblock.block_size, superblock.block_size)


def _mapped(device: Device, superblock: Superblock, node: Node, end: int) -> Iterator[Run]:
    """Twelve direct blocks, then one tree each of one, two and three levels; 0 is a hole."""
    per_block = superblock.block_size // 4
    pointers = struct.unpack("<15I", node.map)
    if end > _DIRECT + per_block + per_block**2 + per_block**3:
        raise Corrupt(f"inode {node.inode}: it is larger than its block map can be")

    def below(number: int, level: int, logical: int) -> Iterator[Run]:
        if number == 0 or logical >= end:
            return
        if level == 0:
            yield logical, number, 1
            return
        raw = _block(device, superblock, node, number)
        if raw.count(0) == len(raw):
            return
        span = per_block ** (level - 1)
        for index, child in enumerate(struct.unpack(f"<{per_block}I", raw)):
            if child:
                yield from below(child, level - 1, logical + index * span)

    def everything() -> Iterator[Run]:
        for logical, number in enumerate(pointers[:_DIRECT]):
            yield from below(number, 0, logical)
        logical = _DIRECT
        for level in (1, 2, 3):
            yield from below(pointers[_DIRECT + level - 1], level, logical)
            logical += per_block**level

    yield from _joined(everything())


def _joined(blocks: Iterator[Run]) -> Iterator[Run]:
    current: Run | None = None
    for logical, physical, count in blocks:
        if current and logical == current[0] + current[2] and physical == current[1] + current[2]:
            current = (current[0], current[1], current[2] + count)
            continue
        if current:
            yield current
        current = (logical, physical, count)
    if current:
        yield current
