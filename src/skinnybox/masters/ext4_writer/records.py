"""What stands in an image, as bytes: inodes, extents, folders, attributes (kernel: fs/ext4/ext4.h)."""

import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from skinnybox.errors import Unsupported

BLOCK = 4096
INODE = 256
SECTOR = 512
EXTRA = 32
"""Bytes of an inode's extra fields: up to the version's high part, and the project, which is 0."""
_EXTENTS = 0x80000
_LONGEST_EXTENT = 1 << 15
_IN_INODE, _IN_BLOCK = 4, (BLOCK - 12) // 12
_ROOM = INODE - 128 - EXTRA
_XATTR_MAGIC = 0xEA020000
_PREFIXES = (("system.posix_acl_access", 2), ("system.posix_acl_default", 3), ("user.", 1), ("trusted.", 4),
             ("security.", 6))  # fmt: skip
_NAMES_SOMEBODY = (2, 8)
_MOST_SECONDS = 3 << 32
_KINDS = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
          stat.S_IFSOCK: 6, stat.S_IFLNK: 7}  # fmt: skip
_SHORT_TARGET = 60

Run = tuple[int, int, int]
"""Logical block, physical block, number of blocks."""
Allocate = Callable[[], int]


@dataclass(slots=True, kw_only=True)
class Inode:
    """What is known of one before its record is written. `place` is what its 60 bytes hold: a device, a short
    target or where its content lies; `blocks` counts all that is its own, in 4 KiB."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    links: int = 1
    place: bytes = bytes(60)
    mapped: bool = False
    blocks: int = 0
    attributes: bytes = b""
    attribute_block: int = 0

    def record(self) -> bytes:
        seconds, fraction = divmod(self.mtime_ns, 1_000_000_000)
        if not 0 <= seconds < _MOST_SECONDS:
            raise Unsupported("a file is dated after the year 2378: no ext4 keeps that", hint="touch it")
        low = seconds & 0xFFFFFFFF
        # Signed, with two more bits beside the nanoseconds that count from there.
        more = (seconds - (low - (1 << 32) if low >> 31 else low)) >> 32
        fine = fraction << 2 | more
        sectors = self.blocks * (BLOCK // SECTOR)
        head = struct.pack(
            "<HHIIIIIHHIII60sIIIIHHHHHH",
            self.mode, self.uid & 0xFFFF, self.size & 0xFFFFFFFF, low, low, low, 0, self.gid & 0xFFFF,
            self.links, sectors, _EXTENTS if self.mapped else 0, 0, self.place, 0, self.attribute_block,
            self.size >> 32, 0, 0, 0, self.uid >> 16, self.gid >> 16, 0, 0,
        )  # fmt: skip
        extra = struct.pack("<HHIIIIIII", EXTRA, 0, fine, fine, fine, low, fine, 0, 0)
        return (head + extra[:EXTRA] + self.attributes).ljust(INODE, b"\0")


def device(number: tuple[int, int]) -> bytes:
    """In the old form where that has room, as the kernel writes it."""
    major, minor = number
    if major < 256 and minor < 256:
        return struct.pack("<II52x", major << 8 | minor, 0)
    return struct.pack("<II52x", 0, minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)


def is_short(target: bytes) -> bool:
    """Whether a symlink's target stands in its inode."""
    return len(target) < _SHORT_TARGET


def extent_tree(runs: Sequence[Run], allocate: Allocate) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The 60 bytes of an inode whose content lies in `runs`, and the blocks that takes beside it."""
    entries = [
        (logical + done, struct.pack("<IHHI", logical + done, min(count - done, _LONGEST_EXTENT),
                                     physical + done >> 32, physical + done & 0xFFFFFFFF))
        for logical, physical, count in runs
        for done in range(0, count, _LONGEST_EXTENT)
    ]  # fmt: skip
    blocks: list[tuple[int, bytes]] = []
    depth = 0
    while len(entries) > _IN_INODE:
        above = []
        for start in range(0, len(entries), _IN_BLOCK):
            below, at = entries[start : start + _IN_BLOCK], allocate()
            blocks.append((at, _node(below, _IN_BLOCK, depth).ljust(BLOCK, b"\0")))
            above.append((below[0][0], struct.pack("<IIHH", below[0][0], at & 0xFFFFFFFF, at >> 32, 0)))
        entries, depth = above, depth + 1
    return _node(entries, _IN_INODE, depth).ljust(60, b"\0"), blocks


def _node(entries: Sequence[tuple[int, bytes]], most: int, depth: int) -> bytes:
    head = struct.pack("<HHHHI", 0xF30A, len(entries), most, depth, 0)
    return head + b"".join(raw for _, raw in entries)


@dataclass(slots=True, kw_only=True)
class Folder:
    """One whose names are being gathered, in the order of the walk."""

    path: bytes
    number: int
    parent: int
    inode: Inode
    names: list[tuple[bytes, int, int]] = field(default_factory=list)

    def add(self, name: bytes, number: int, mode: int) -> None:
        self.names.append((name, number, _KINDS[stat.S_IFMT(mode)]))
        self.inode.links += stat.S_ISDIR(mode)

    def blocks(self) -> Iterator[bytes]:
        """Its entries, the last of each block up to its end. No hash tree: a folder of thousands is some
        blocks, which the kernel keeps, as it does the names once found."""
        held: list[tuple[bytes, int, int]] = []
        used = 0
        for entry in [(b".", self.number, 2), (b"..", self.parent, 2), *self.names]:
            length = _length(entry[0])
            if used + length > BLOCK:
                yield _directory_block(held)
                held, used = [], 0
            held.append(entry)
            used += length
        yield _directory_block(held)


def _directory_block(entries: Sequence[tuple[bytes, int, int]]) -> bytes:
    lengths = [_length(name) for name, _, _ in entries]
    lengths[-1] += BLOCK - sum(lengths)
    return b"".join(
        struct.pack("<IHBB", number, length, len(name), kind) + name.ljust(length - 8, b"\0")
        for (name, number, kind), length in zip(entries, lengths, strict=True)
    )


def _length(name: bytes) -> int:
    return 8 + (len(name) + 3) // 4 * 4


def attributes(found: Sequence[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """Extended attributes: what stands in the inode, or else what stands in a block. Unsupported when they
    are more than that holds, which EROFS keeps."""
    entries = sorted(
        (_told(name, value) for name, value in found), key=lambda entry: (entry[0], len(entry[1]), entry[1])
    )
    if not entries:
        return b"", b""
    inside = _packed(entries, _ROOM - 4, before=0)
    if inside is not None:
        return struct.pack("<I", _XATTR_MAGIC) + inside, b""
    block = _packed(entries, BLOCK - 32, before=32)
    if block is None:
        raise Unsupported(
            "a file has attributes of more than 4 KiB: no ext4 keeps them",
            hint="`getfattr -R -d -m -` shows them",
        )
    total = 0
    for _, name, value in entries:
        total = _turned(total, 16) ^ _hash(name, value)
    return b"", struct.pack("<IIIII12x", _XATTR_MAGIC, 1, 1, total, 0) + block


def with_users(block: bytes, count: int) -> bytes:
    """A block of attributes that so many inodes share."""
    return block[:4] + count.to_bytes(4, "little") + block[8:]


def _packed(entries: Sequence[tuple[int, bytes, bytes]], room: int, *, before: int) -> bytes | None:
    """Entries from the begin, their values from the end; None where they do not fit."""
    heads, values, end = b"", b"", room
    for index, name, value in entries:
        padded = value.ljust((len(value) + 3) // 4 * 4, b"\0")
        end -= len(padded)
        if end < 0:
            return None
        values = padded + values
        at = end + before if value else 0
        heads += struct.pack("<BBHIII", len(name), index, at, 0, len(value), _hash(name, value))
        heads += name.ljust((len(name) + 3) // 4 * 4, b"\0")
    if len(heads) + 4 > end:
        return None
    return heads.ljust(end, b"\0") + values


def _told(name: str, value: bytes) -> tuple[int, bytes, bytes]:
    prefix, index = next((prefix, index) for prefix, index in _PREFIXES if name.startswith(prefix))
    rest = name.removeprefix(prefix).encode("utf-8", "surrogateescape")
    return index, rest, _acl(value) if index in (2, 3) else value


def _acl(value: bytes) -> bytes:
    """ext4 leaves the id out of entries that name nobody; the system call has it in every one."""
    out = struct.pack("<I", 1)
    for tag, bits, who in struct.iter_unpack("<HHI", value[4:]):
        out += (
            struct.pack("<HHI", tag, bits, who) if tag in _NAMES_SOMEBODY else struct.pack("<HH", tag, bits)
        )
    return out


def _turned(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & 0xFFFFFFFF


def _hash(name: bytes, value: bytes) -> int:
    """As the kernel's ext4_xattr_hash_entry on processors whose bytes are signed."""
    found = 0
    for byte in name:
        found = _turned(found, 5) ^ (byte | 0xFFFFFF00 if byte >> 7 else byte)
    for (word,) in struct.iter_unpack("<I", value.ljust((len(value) + 3) // 4 * 4, b"\0")):
        found = _turned(found, 16) ^ word
    return found
