"""Names in a directory. Hash-tree blocks look like empty ones, so one linear pass finds every name."""

import itertools
import struct
from collections.abc import Iterable, Iterator

from skinnybox.errors import Corrupt

MAX_NAMES = 1 << 20
"""More names in one directory are refused: they must be sorted, and memory must stay bounded."""


class TooManyNames(Corrupt):
    """Not damage: whoever may write to a directory can fill it with so many."""


_ENTRY = struct.Struct("<IHBB")
_BIG_BLOCK = 1 << 16


def sorted_names(inode: int, blocks: Iterable[bytes]) -> list[tuple[bytes, int]]:
    """(name, inode number) without "." and "..", by the raw bytes of the names. Raises Corrupt."""
    found = sorted(_all_names(inode, blocks))
    for (name, _), (other, _) in itertools.pairwise(found):
        if name == other:
            raise Corrupt(f"inode {inode}: the directory holds {name!r} twice")
    return found


def find_name(inode: int, blocks: Iterable[bytes], wanted: bytes) -> int | None:
    """The inode number behind one name; None when there is none."""
    return next((number for name, number in _all_names(inode, blocks) if name == wanted), None)


def _all_names(inode: int, blocks: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    count = 0
    for block in blocks:
        for entry in _names(inode, block):
            count += 1
            if count > MAX_NAMES:
                raise TooManyNames(f"inode {inode}: a directory of more than {MAX_NAMES} names")
            yield entry


def _names(inode: int, block: bytes) -> Iterator[tuple[bytes, int]]:
    offset, end, unpack = 0, len(block), _ENTRY.unpack_from
    while offset < end:
        if offset + _ENTRY.size > end:
            raise Corrupt(f"inode {inode}: a directory entry runs out of its block")
        number, length, name_length, _ = unpack(block, offset)
        if end == _BIG_BLOCK:
            length = _BIG_BLOCK if length in (0, _BIG_BLOCK - 1) else length & ~3 | (length & 3) << 16
        if length < _ENTRY.size or length % 4 or offset + length > end or name_length > length - _ENTRY.size:
            raise Corrupt(f"inode {inode}: a directory entry makes no sense")
        if number:
            name = block[offset + _ENTRY.size : offset + _ENTRY.size + name_length]
            if not name or b"/" in name or b"\0" in name:
                raise Corrupt(f"inode {inode}: a directory entry has no proper name: {name!r}")
            if name not in (b".", b".."):
                yield name, number
        offset += length
