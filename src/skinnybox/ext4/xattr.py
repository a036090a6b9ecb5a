"""Extended attributes, in the inode and in a block of their own, as getxattr(2) would give them."""

import struct
from collections.abc import Iterator

from skinnybox.errors import Corrupt, Unsupported

_MAGIC = b"\x00\x00\x02\xea"
_BLOCK_HEADER = 32
_ENTRY = struct.Struct("<BBHIII")
_END = b"\0\0\0\0"
_PREFIXES = {
    1: "user.",
    2: "system.posix_acl_access",
    3: "system.posix_acl_default",
    4: "trusted.",
    6: "security.",
    7: "system.",
    8: "system.richacl",
}
_ACLS = (2, 3)
_INLINE_DATA = "system.data"
_NAMED_ENTRIES = (0x02, 0x08)
_SUFFIX_LESS = frozenset({2, 3, 8})


def in_inode(number: int, tail: bytes) -> dict[str, bytes]:
    """Attributes behind the inode's record; `tail` is all that follows its first 128 bytes."""
    if len(tail) < 4:
        return {}
    start = int.from_bytes(tail[:2], "little")
    if start % 4 or start > len(tail):
        raise Corrupt(f"inode {number}: its extra fields are longer than the inode")
    if tail[start : start + 4] != _MAGIC:
        return {}
    return dict(_entries(number, tail[start + 4 :], 0))


def in_block(number: int, raw: bytes) -> dict[str, bytes]:
    if raw[:4] != _MAGIC:
        raise Corrupt(f"inode {number}: its attribute block is none")
    return dict(_entries(number, raw, _BLOCK_HEADER))


def without_content(attributes: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the attribute that holds the end of a small file."""
    return {name: value for name, value in attributes.items() if name != _INLINE_DATA}


def content(attributes: dict[str, bytes]) -> bytes:
    """What of a small file's bytes did not fit into the inode's record."""
    return attributes.get(_INLINE_DATA, b"")


def _entries(number: int, region: bytes, position: int) -> Iterator[tuple[str, bytes]]:
    """Offsets of values count from the region's start. All values together must fit into it."""
    left = len(region)
    while region[position : position + 4] != _END:
        if position + _ENTRY.size > len(region):
            raise Corrupt(f"inode {number}: its attributes run out of their space")
        length, index, offset, inode, size, _ = _ENTRY.unpack_from(region, position)
        name = region[position + _ENTRY.size : position + _ENTRY.size + length]
        position += _ENTRY.size + (length + 3) // 4 * 4
        left -= size
        if inode:
            raise Unsupported(
                f"inode {number}: an attribute in an inode of its own (ext4's ea_inode) is not supported",
                hint="inside, `getfattr -R -d -m - /` shows the large ones, and `setfattr -x` removes one",
            )
        if left < 0 or offset + size > len(region) or len(name) != length:
            raise Corrupt(f"inode {number}: an attribute lies outside its space")
        yield _name(number, index, name), _value(number, index, region[offset : offset + size])


def _name(number: int, index: int, name: bytes) -> str:
    prefix = _PREFIXES.get(index)
    if prefix is None or bool(name) == (index in _SUFFIX_LESS) or b"\0" in name:
        raise Corrupt(f"inode {number}: an attribute has no proper name")
    return prefix + name.decode("utf-8", "surrogateescape")


def _value(number: int, index: int, value: bytes) -> bytes:
    return _acl(number, value) if index in _ACLS else value


def _acl(number: int, raw: bytes) -> bytes:
    """ext4 leaves the id out of entries that name nobody; the system call's format has it in every one."""
    if raw[:4] != b"\x01\0\0\0":
        raise Corrupt(f"inode {number}: an access list of an unknown version")
    out, position = [b"\x02\0\0\0"], 4
    while position < len(raw):
        named = int.from_bytes(raw[position : position + 2], "little") in _NAMED_ENTRIES
        entry = raw[position : position + (8 if named else 4)]
        if len(entry) != (8 if named else 4):
            raise Corrupt(f"inode {number}: an access list ends in the middle of an entry")
        out.append(entry if named else entry + b"\xff\xff\xff\xff")
        position += len(entry)
    return b"".join(out)
