"""Where things lie in an image: superblock and descriptors first, then all content in the order of the walk,
then bitmaps and inode tables, whose number is known by then (that is what flex_bg is for)."""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from skinnybox.errors import Unsupported
from skinnybox.masters.ext4_writer.records import BLOCK, INODE

GROUP = 8 * BLOCK
"""Blocks of a group, and the most inodes of one."""
FIRST_INODE, ROOT = 11, 2
SUPERBLOCK = 1024
UUID_AT, UUID_LENGTH = 0x68, 16
_DESCRIPTOR = 32
_PER_BLOCK = BLOCK // INODE
_HASH_SEED = bytes.fromhex("5b0c1f6e6f7645728c61790000000003")
_LABEL = b"skinny-master"
_COMPATIBLE = 0x8  # ext_attr
_INCOMPATIBLE = 0x2 | 0x40 | 0x200  # filetype, extents, flex_bg
_READ_ONLY = 0x1 | 0x2 | 0x20 | 0x40  # sparse_super, large_file, dir_nlink, extra_isize
"""All of them in Linux 2.6.28. Not 64bit and metadata_csum (3.5 and later), nor a journal: who mounts that
read-only without one has nothing to replay."""
_ACL_AND_XATTR = 0xC
"""Mount options of a kernel that does not switch these on by itself."""


def has_backup(group: int) -> bool:
    """Whether a group begins with a copy of superblock and descriptors, as sparse_super has it."""
    return group < 2 or any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(value: int, base: int) -> bool:
    while value % base == 0:
        value //= base
    return value == 1


@dataclass(slots=True)
class Space:
    """Hands out blocks, always the next, around what groups begin with. `descriptors` is how many blocks
    their table may have: what of them is not needed is free."""

    descriptors: int
    next: int = 0
    free: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pass_copy()

    def take(self, count: int) -> Iterator[tuple[int, int]]:
        """So many, in runs of (first, count)."""
        while count:
            run = min(count, self._to_next_copy())
            yield self.next, run
            self.next, count = self.next + run, count - run
            self._pass_copy()

    def one(self) -> int:
        ((first, _),) = self.take(1)
        return first

    def together(self, count: int) -> int:
        """So many in one run; what is too short for that stays free."""
        if (left := self._to_next_copy()) < count:
            self.free.append((self.next, left))
            self.next += left
            self._pass_copy()
        ((first, _),) = self.take(count)
        return first

    def _to_next_copy(self) -> int:
        group = self.next // GROUP + 1
        while not has_backup(group):
            group += 1
        return group * GROUP - self.next

    def _pass_copy(self) -> None:
        if self.next % GROUP == 0 and has_backup(self.next // GROUP):
            self.next += 1 + self.descriptors


@dataclass(slots=True, kw_only=True)
class Groups:
    """How an image is divided once its content is written: where each group has its bitmaps and its table."""

    inodes: int
    blocks: int
    bitmaps: list[int]
    inode_bitmaps: list[int]
    tables: list[int]

    @property
    def descriptors(self) -> int:
        return -(-len(self.tables) * _DESCRIPTOR // BLOCK)


def divided(space: Space, inodes: int) -> Groups:
    """Groups for all that was taken from `space`, and for `inodes`; more is taken for what they need."""
    count = max(1, -(-inodes // GROUP))
    while True:
        trial = Space(space.descriptors, space.next, list(space.free))
        each = -(-inodes // (count * _PER_BLOCK)) * _PER_BLOCK
        found = Groups(
            inodes=each,
            blocks=0,
            bitmaps=[trial.one() for _ in range(count)],
            inode_bitmaps=[trial.one() for _ in range(count)],
            tables=[trial.together(each // _PER_BLOCK) for _ in range(count)],
        )
        needed = -(-trial.next // GROUP)
        if needed <= count:
            break
        count = needed
    if found.descriptors > space.descriptors:
        raise Unsupported("the tree grew while its image was written", hint="seal a tree nobody writes to")
    space.next, space.free = trial.next, trial.free
    # Enough for the last group to have what it begins with, and a block.
    found.blocks = max(space.next, (count - 1) * GROUP + 2 + space.descriptors)
    return found


def finish(
    image: BinaryIO, space: Space, groups: Groups, table: bytearray, folders: list[int], *, date: int
) -> None:
    """Write what tells where all is: bitmaps, inode tables, descriptors and superblocks."""
    blocks = _used_blocks(space, groups)
    used = len(table) // INODE
    described, free_blocks = b"", 0
    holds = Counter((folder - 1) // groups.inodes for folder in folders)
    for number, at in enumerate(groups.tables):
        first = number * groups.inodes
        mine = min(max(used - first, 0), groups.inodes)
        bitmap = bytes(blocks[number * BLOCK : (number + 1) * BLOCK])
        free = GROUP - int.from_bytes(bitmap).bit_count()
        free_blocks += free
        _put(image, groups.bitmaps[number], bitmap)
        _put(image, groups.inode_bitmaps[number], _first_bits(mine, groups.inodes))
        _put(image, at, table[first * INODE : (first + mine) * INODE])
        described += struct.pack(
            "<IIIHHH14x", groups.bitmaps[number], groups.inode_bitmaps[number], at, free,
            groups.inodes - mine, holds[number],
        )  # fmt: skip
    for number in filter(has_backup, range(len(groups.tables))):
        raw = _superblock(groups, number, free_blocks, groups.inodes * len(groups.tables) - used, date)
        image.seek(number * GROUP * BLOCK + (0 if number else SUPERBLOCK))
        image.write(raw)
        _put(image, number * GROUP + 1, described)
    image.truncate(groups.blocks * BLOCK)


def _put(image: BinaryIO, block: int, data: bytes | bytearray) -> None:
    image.seek(block * BLOCK)
    image.write(data)


def _used_blocks(space: Space, groups: Groups) -> bytearray:
    """One bit for each block; those that are beyond the end count as used."""
    count = len(groups.tables)
    found = bytearray(b"\xff") * (count * BLOCK)
    for first, length in space.free:
        _mark(found, first, length, used=False)
    _mark(found, space.next, groups.blocks - space.next, used=False)
    for number in filter(has_backup, range(count)):
        _mark(found, number * GROUP, 1 + groups.descriptors, used=True)
        spare = space.descriptors - groups.descriptors
        _mark(found, number * GROUP + 1 + groups.descriptors, spare, used=False)
    return found


def _mark(bits: bytearray, first: int, count: int, *, used: bool) -> None:
    end = first + count
    while first < end:
        if first % 8 == 0 and end - first >= 8:
            whole = (end - first) // 8
            bits[first // 8 : first // 8 + whole] = (b"\xff" if used else b"\0") * whole
            first += whole * 8
        else:
            one = 1 << first % 8
            bits[first // 8] = bits[first // 8] | one if used else bits[first // 8] & ~one
            first += 1


def _first_bits(used: int, there: int) -> bytes:
    """The first are in use, the others free; those that a group does not have count as used."""
    found = bytearray(b"\xff") * BLOCK
    _mark(found, used, there - used, used=False)
    return bytes(found)


def _superblock(groups: Groups, number: int, free_blocks: int, free_inodes: int, date: int) -> bytes:
    """Without a UUID: that comes from the digest of what is written here."""
    count = len(groups.tables)
    raw = bytearray(SUPERBLOCK)
    when = date & 0xFFFFFFFF
    struct.pack_into(
        "<IIIIIIIIIIIIIHHHHHHIIIIHH", raw, 0,
        groups.inodes * count, groups.blocks, 0, free_blocks, free_inodes, 0, 2, 2, GROUP, GROUP,
        groups.inodes, 0, when, 0, 0xFFFF, 0xEF53, 1, 1, 0, when, 0, 0, 1, 0, 0,
    )  # fmt: skip
    struct.pack_into("<IHHIII", raw, 0x54, FIRST_INODE, INODE, number, _COMPATIBLE, _INCOMPATIBLE, _READ_ONLY)
    raw[0x78 : 0x78 + len(_LABEL)] = _LABEL
    raw[0xEC : 0xEC + 16] = _HASH_SEED
    raw[0xFC] = 1  # half MD4: nothing is hashed, but a kernel wants to know it
    struct.pack_into("<I", raw, 0x100, _ACL_AND_XATTR)
    struct.pack_into("<I", raw, 0x108, when)
    struct.pack_into("<HHI", raw, 0x15C, 32, 32, 1)  # extra fields of inodes; names' bytes are signed
    raw[0x174] = 4  # groups of 16 share their place, as flex_bg's are
    return bytes(raw)
