"""The headers of a pax tar, as GNU tar writes them. What is read of one: archives/members.py."""

import struct
from collections.abc import Iterable, Iterator

BLOCK = 512
END = bytes(2 * BLOCK)
TYPES = {"-": b"0", "l": b"2", "c": b"3", "b": b"4", "d": b"5", "p": b"6"}
HARD_LINK = b"1"

_EXTENDED = b"x"
_NAME = 100
_OCTAL_7, _OCTAL_11 = 8**7, 8**11
_SECOND = 1_000_000_000
_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s167x")

Record = tuple[bytes, bytes]
Run = tuple[int, int]
"""(offset, length) in bytes."""


def member(
    kind: bytes,
    name: bytes,
    *,
    mode: int,
    owner: tuple[int, int],
    size: int,
    mtime_ns: int,
    records: list[Record],
    target: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """The headers of one member, of which `size` bytes follow. What ustar's fields cannot hold goes into an
    extended header before it, with the `records` that are its own."""
    if len(name) > _NAME or len(target) > _NAME or max(*owner, size >> 12) >= _OCTAL_7:
        records = [*records, *_overflow(name, target, owner, size)]
    seconds, fraction = divmod(mtime_ns, _SECOND)
    if fraction or not 0 <= seconds < _OCTAL_11:
        records = [*records, (b"mtime", decimal(mtime_ns))]
    own = _header(name[:_NAME], kind, mode, owner, size, seconds, target=target[:_NAME], device=device)
    return _extended(records) + own if records else own


def padding(size: int) -> bytes:
    """What follows a content of so many bytes."""
    return bytes(-size % BLOCK)


def sparse(name: bytes, size: int, runs: Iterable[Run]) -> tuple[list[Record], bytes]:
    """The records of a file of `size` bytes that is only what the runs say, ascending, and zeros: GNU sparse
    format 1.0; and the table that goes before what they hold. The member is called sparse_name."""
    joined: list[list[int]] = []
    for offset, length in runs:
        if joined and sum(joined[-1]) == offset:
            joined[-1][1] += length
        else:
            joined.append([offset, length])
    if not joined or sum(joined[-1]) < size:
        joined.append([size, 0])
    numbers = [len(joined), *(number for pair in joined for number in pair)]
    table = b"".join(b"%d\n" % number for number in numbers)
    records = [
        (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", name), (b"GNU.sparse.realsize", b"%d" % size),
    ]  # fmt: skip
    return records, table + padding(len(table))


def sparse_name(path: bytes) -> bytes:
    """What such a member is called for who does not know the format."""
    return b"GNUSparseFile.0/" + path.rpartition(b"/")[2]


def attribute(name: str, value: bytes) -> Record:
    """As GNU tar writes them: the name ends at the first equals sign."""
    escaped = name.replace("%", "%25").replace("=", "%3D") if "%" in name or "=" in name else name
    return b"SCHILY.xattr." + escaped.encode("utf-8", "surrogateescape"), value


def decimal(nanoseconds: int) -> bytes:
    """Seconds."""
    seconds, fraction = divmod(abs(nanoseconds), _SECOND)
    return b"%s%d.%09d" % (b"-" if nanoseconds < 0 else b"", seconds, fraction)


def _overflow(name: bytes, target: bytes, owner: tuple[int, int], size: int) -> Iterator[Record]:
    if len(name) > _NAME:
        yield b"path", name
    if len(target) > _NAME:
        yield b"linkpath", target
    for key, number, limit in (
        (b"uid", owner[0], _OCTAL_7), (b"gid", owner[1], _OCTAL_7), (b"size", size, _OCTAL_11),
    ):  # fmt: skip
        if number >= limit:
            yield key, b"%d" % number


def _extended(records: Iterable[Record]) -> bytes:
    body = b"".join(_record(key, value) for key, value in records)
    head = _header(b"./PaxHeaders/x", _EXTENDED, 0o644, (0, 0), len(body), 0)
    return head + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts itself too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _header(
    name: bytes,
    kind: bytes,
    mode: int,
    owner: tuple[int, int],
    size: int,
    mtime: int,
    *,
    target: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    uid, gid = (number if number < _OCTAL_7 else 0 for number in owner)
    raw = _FIELDS.pack(
        name, b"%07o" % mode, b"%07o" % uid, b"%07o" % gid, b"%011o" % (size if size < _OCTAL_11 else 0),
        b"%011o" % (mtime if 0 <= mtime < _OCTAL_11 else 0), b" " * 8, kind, target, b"ustar\x0000", b"", b"",
        b"%07o" % device[0], b"%07o" % device[1],
    )  # fmt: skip
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]
