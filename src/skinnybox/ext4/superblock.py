"""The superblock, and where the inode tables are."""

import struct
from dataclasses import dataclass
from uuid import UUID

from skinnybox.crc32c import crc32c
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.ext4.device import Device

OFFSET, LENGTH = 1024, 1024
_MAGIC = 0xEF53
_FIXED = struct.Struct("<13I6HII")
_DYNAMIC = struct.Struct("<IHHIII16s16s")
_VALID, _ERRORS, _ORPHANS = 1, 2, 4

_RECOVER, _META_BG, _64BIT = 0x4, 0x10, 0x80
_SPARSE_SUPER, _METADATA_CSUM, _ORPHAN_PRESENT, _SPARSE_SUPER2 = 0x1, 0x400, 0x10000, 0x200
_BIGALLOC = 0x200
_UNKNOWN = {0x1: "compression", 0x8: "a journal device", 0x1000: "data in directories"}
# filetype recover meta_bg extents 64bit mmp flex_bg ea_inode csum_seed largedir inline_data encrypt casefold
_KNOWN = 0x2 | _RECOVER | _META_BG | 0x40 | _64BIT | 0x100 | 0x200 | 0x400 | 0x3E000
_LARGEDIR = 0x4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """What the volume says of itself, checked for sense. Blocks are `block_size` bytes; `clean` means that
    nothing has to be replayed or repaired before it may be read as the truth; `mounted`: somebody did, to
    write, since it was made."""

    block_size: int
    blocks: int
    free_blocks: int
    reserved_blocks: int
    inodes: int
    free_inodes: int
    label: str
    uuid: UUID
    needs_recovery: bool
    clean: bool
    mounted: bool
    has_errors: bool
    first_data_block: int
    blocks_per_group: int
    inodes_per_group: int
    inode_size: int
    first_inode: int
    descriptor_size: int
    first_meta_group: int
    large_directories: bool
    sparse: bool
    backups: tuple[int, int] | None

    @property
    def groups(self) -> int:
        return -(-(self.blocks - self.first_data_block) // self.blocks_per_group)

    def has_backup(self, group: int) -> bool:
        """Whether this block group begins with a copy of the superblock."""
        if group == 0 or (self.backups is None and not self.sparse):
            return True
        if self.backups is not None:
            return group in self.backups
        return group == 1 or any(_is_power(group, base) for base in (3, 5, 7))


def read_superblock(device: Device) -> Superblock:
    """Raises Corrupt when this is no ext2, ext3 or ext4 volume, or one that cannot be read safely."""
    if device.size < OFFSET + LENGTH:
        raise Corrupt("no ext4 volume: it is too small")
    raw = device.read(OFFSET, LENGTH)
    if raw[0x38:0x3A] != _MAGIC.to_bytes(2, "little"):
        raise Corrupt("no ext4 volume: there is no superblock")
    superblock = _parsed(raw)
    _check(superblock, device.size)
    return superblock


def _parsed(raw: bytes) -> Superblock:
    (inodes, blocks, reserved, free, free_inodes, first_block, log_size, _, per_group, _, inodes_per_group,
     _, _, _, _, _, state, _, _, _, _) = _FIXED.unpack_from(raw)  # fmt: skip
    revision = _u32(raw, 0x4C)
    first_inode, inode_size, _, compat, incompat, ro_compat, uuid, label = _DYNAMIC.unpack_from(raw, 0x54)
    if revision == 0:
        first_inode, inode_size, compat, incompat, ro_compat = 11, 128, 0, 0, 0
    _check_features(raw, revision, incompat, ro_compat)
    high = bool(incompat & _64BIT)
    recover = bool(incompat & _RECOVER)
    pending = recover or _u32(raw, 0xE8) != 0 or bool(ro_compat & _ORPHAN_PRESENT)
    if log_size > 6:
        raise Corrupt("superblock: blocks are not of 1 to 64 KiB")
    return Superblock(
        block_size=1024 << log_size,
        blocks=blocks | (_u32(raw, 0x150) << 32 if high else 0),
        free_blocks=free | (_u32(raw, 0x158) << 32 if high else 0),
        reserved_blocks=reserved | (_u32(raw, 0x154) << 32 if high else 0),
        inodes=inodes,
        free_inodes=free_inodes,
        label=label.split(b"\0")[0].decode("ascii", "replace"),
        uuid=UUID(bytes=uuid),
        needs_recovery=recover,
        clean=bool(state & _VALID) and not state & (_ERRORS | _ORPHANS) and not pending,
        mounted=recover or any((_u32(raw, 0x2C), raw[0x34], raw[0x35])),
        has_errors=bool(state & _ERRORS),
        first_data_block=first_block,
        blocks_per_group=per_group,
        inodes_per_group=inodes_per_group,
        inode_size=inode_size,
        first_inode=first_inode,
        descriptor_size=struct.unpack_from("<H", raw, 0xFE)[0] if high else 32,
        first_meta_group=_u32(raw, 0x104) if incompat & _META_BG else 1 << 32,
        large_directories=bool(incompat & _LARGEDIR),
        sparse=bool(ro_compat & _SPARSE_SUPER),
        backups=struct.unpack_from("<II", raw, 0x24C) if compat & _SPARSE_SUPER2 else None,
    )


def _check_features(raw: bytes, revision: int, incompat: int, ro_compat: int) -> None:
    # Before anything is called not supported: what is damaged names features at random.
    if ro_compat & _METADATA_CSUM and crc32c(raw[:0x3FC]) != _u32(raw, 0x3FC):
        raise Corrupt("superblock: its checksum does not match")
    if revision > 1:
        raise Unsupported(f"ext4 of revision {revision} is not supported")
    unknown = incompat & ~_KNOWN
    if unknown:
        names = [_UNKNOWN.get(1 << bit, f"incompat {1 << bit:#x}") for bit in range(32) if unknown >> bit & 1]
        raise Unsupported(f"ext4 with {', '.join(names)} is not supported")
    if ro_compat & _BIGALLOC and _u32(raw, 0x18) == 0:
        raise Unsupported("ext4 with bigalloc and blocks of 1 KiB is not supported")


def _check(superblock: Superblock, size: int) -> None:
    """Everything that is later divided by, shifted by or used to compute an offset."""
    block_size = superblock.block_size
    _sane(superblock.blocks * block_size <= size, "it is larger than the disk")
    _sane(superblock.first_data_block == (block_size == 1024), "the first data block is misplaced")
    _sane(superblock.blocks > superblock.first_data_block, "it has no blocks")
    _sane(superblock.free_blocks <= superblock.blocks, "more blocks are free than there are")
    _sane(superblock.free_inodes <= superblock.inodes, "more inodes are free than there are")
    _sane(superblock.reserved_blocks <= superblock.blocks, "more blocks are reserved than there are")
    _sane(superblock.blocks_per_group >= 8, "block groups are too small")
    _sane(0 < superblock.inodes_per_group <= 8 * block_size, "inodes per group make no sense")
    _sane(superblock.inodes == superblock.groups * superblock.inodes_per_group, "the inode count is wrong")
    _sane(_is_power(superblock.inode_size, 2), "the inode size is no power of two")
    _sane(128 <= superblock.inode_size <= block_size, "the inode size makes no sense")
    _sane(_is_power(superblock.descriptor_size, 2), "the descriptor size is no power of two")
    _sane(32 <= superblock.descriptor_size <= 1024, "the descriptor size makes no sense")
    _sane(superblock.first_inode >= 11, "the first inode makes no sense")


def inode_offset(device: Device, superblock: Superblock, number: int) -> int:
    """Where inode `number` lies on the volume, in bytes. Raises Corrupt."""
    if not 1 <= number <= superblock.inodes:
        raise Corrupt(f"inode {number}: there are only {superblock.inodes}")
    group, index = divmod(number - 1, superblock.inodes_per_group)
    raw = device.cached(_descriptor_offset(superblock, group), superblock.descriptor_size)
    table = _u32(raw, 8) | (_u32(raw, 0x28) << 32 if superblock.descriptor_size >= 64 else 0)
    if not superblock.first_data_block < table < superblock.blocks:
        raise Corrupt(f"block group {group}: its inode table lies outside the volume")
    return table * superblock.block_size + index * superblock.inode_size


def _descriptor_offset(superblock: Superblock, group: int) -> int:
    per_block = superblock.block_size // superblock.descriptor_size
    index, slot = divmod(group, per_block)
    if index < superblock.first_meta_group:
        block = superblock.first_data_block + 1 + index
    else:
        first = index * per_block
        block = superblock.first_data_block + first * superblock.blocks_per_group
        block += superblock.has_backup(first)
    return block * superblock.block_size + slot * superblock.descriptor_size


def _u32(raw: bytes, offset: int) -> int:
    return int.from_bytes(raw[offset : offset + 4], "little")


def _is_power(value: int, base: int) -> bool:
    while value > 1 and value % base == 0:
        value //= base
    return value == 1


def _sane(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Corrupt(f"superblock: {otherwise}")
