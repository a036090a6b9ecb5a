"""One inode's record, decoded."""

import struct
from dataclasses import dataclass

from skinnybox.errors import Corrupt, Unsupported

EXTENTS, ENCRYPTED, EA_INODE, INLINE = 0x80000, 0x800, 0x200000, 0x10000000
BODY = 128
"""Bytes of the original record; what follows are extra fields and extended attributes."""

_RECORD = struct.Struct("<HHIIIIIHHIII60sIIIIHHHHHH")
_EXTRA = struct.Struct("<HHII")
_LETTERS = {0x1: "p", 0x2: "c", 0x4: "d", 0x6: "b", 0x8: "-", 0xA: "l", 0xC: "s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A file, directory or other thing on a volume, as its inode describes it.

    `type` is one of the letters of `ls -l`; `mode` the permission bits with setuid, setgid and sticky; `rdev`
    is (major, minor) of a device, else (0, 0). What follows `links` is the reader's own.
    """

    inode: int
    type: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    rdev: tuple[int, int]
    links: int
    flags: int
    sectors: int
    attributes: int
    map: bytes
    tail: bytes


def parse_inode(number: int, raw: bytes, *, large_directories: bool = False) -> Node:
    """Raises Corrupt for a record that is not in use or makes no sense."""
    (mode, uid, size, _, _, mtime, _, gid, links, sectors, flags, _, blocks, _, attributes, size_high, _,
     _, attributes_high, uid_high, gid_high, _, _) = _RECORD.unpack_from(raw)  # fmt: skip
    letter = _LETTERS.get(mode >> 12)
    if letter is None or not links:
        raise Corrupt(f"inode {number}: it is not in use, or of no known type")
    if flags & ENCRYPTED:
        raise Unsupported(
            f"inode {number}: it is encrypted", hint="fscrypt directories can only be read inside"
        )
    if letter == "-" or (letter == "d" and large_directories):
        size |= size_high << 32
    return Node(
        inode=number,
        type=letter,
        mode=mode & 0o7777,
        uid=uid | uid_high << 16,
        gid=gid | gid_high << 16,
        size=size,
        mtime_ns=_mtime(mtime, raw),
        rdev=_device(blocks) if letter in "bc" else (0, 0),
        links=links,
        flags=flags,
        sectors=sectors,
        attributes=attributes | attributes_high << 32,
        map=blocks,
        tail=raw[BODY:],
    )


def _mtime(seconds: int, raw: bytes) -> int:
    """Signed seconds; two more bits and the nanoseconds when the inode is large enough to hold them."""
    signed = seconds - (1 << 32) if seconds >> 31 else seconds
    if len(raw) < BODY + _EXTRA.size:
        return signed * 1_000_000_000
    length, _, _, extra = _EXTRA.unpack_from(raw, BODY)
    if length < _EXTRA.size:
        return signed * 1_000_000_000
    return (signed + (int(extra & 3) << 32)) * 1_000_000_000 + int(extra >> 2)


def _device(blocks: bytes) -> tuple[int, int]:
    old, new = struct.unpack_from("<II", blocks)
    if old:
        return old >> 8 & 0xFF, old & 0xFF
    return new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00
