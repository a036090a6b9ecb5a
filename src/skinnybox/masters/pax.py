"""Members of a tar in the pax format, as GNU tar itself would write them with --xattrs --acls --sparse."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from skinnybox.errors import Corrupt

BLOCK = 512
HARD_LINK = b"1"
KINDS = {"-": b"0", "l": b"2", "c": b"3", "b": b"4", "d": b"5", "p": b"6"}
"""By the letters of `ls -l`; a socket is none."""
END = bytes(2 * BLOCK)
_EXTENDED = b"x"
_NAME = 100
_OCTAL_7, _OCTAL_11 = 8**7, 8**11
_SECOND = 1_000_000_000
_ACLS = {"system.posix_acl_access": b"SCHILY.acl.access", "system.posix_acl_default": b"SCHILY.acl.default"}
_KEPT = ("user.", "trusted.", "security.")
_TAGS = {0x01: "user:", 0x02: "user:{}", 0x04: "group:", 0x08: "group:{}", 0x10: "mask:", 0x20: "other:"}
_ACL_ENTRY = struct.Struct("<HHI")

Record = tuple[bytes, bytes]
Run = tuple[int, int, int]


class Facts(Protocol):
    """What a member is, beside its name and content."""

    @property
    def type(self) -> str: ...
    @property
    def mode(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def rdev(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Facts that are put together."""

    type: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    rdev: tuple[int, int] = (0, 0)


def padding(size: int) -> bytes:
    """What follows so many bytes of content."""
    return bytes(-size % BLOCK)


def sparse_map(runs: list[Run], size: int) -> bytes:
    """The list of what is not a hole, GNU sparse format 1.0, as it goes before the data."""
    joined: list[list[int]] = []
    for logical, _, length in runs:
        if joined and sum(joined[-1]) == logical:
            joined[-1][1] += length
        else:
            joined.append([logical, length])
    if not joined or sum(joined[-1]) < size:
        joined.append([size, 0])
    numbers = [len(joined), *(number for pair in joined for number in pair)]
    table = b"".join(b"%d\n" % number for number in numbers)
    return table + bytes(-len(table) % BLOCK)


def member(
    kind: bytes, path: bytes, facts: Facts, size: int, records: list[Record], *, target: bytes = b""
) -> bytes:
    """The headers of one member. What ustar's fields cannot hold goes into an extended header before it."""
    name = b"./" + path + (b"/" if facts.type == "d" and path else b"")
    records = [*records, *_overflow(name, target, facts, size)]
    seconds, fraction = divmod(facts.mtime_ns, _SECOND)
    if fraction or not 0 <= seconds < _OCTAL_11:
        records.append((b"mtime", _decimal(facts.mtime_ns)))
    head = b""
    if records:
        body = b"".join(_record(key, value) for key, value in records)
        head = (
            _header(b"./PaxHeaders/x", _EXTENDED, 0o644, (0, 0), len(body), 0)
            + body
            + bytes(-len(body) % BLOCK)
        )
    return head + _header(
        name[:_NAME],
        kind,
        facts.mode,
        (facts.uid, facts.gid),
        size,
        seconds,
        target=target[:_NAME],
        device=facts.rdev,
    )


def _overflow(name: bytes, target: bytes, facts: Facts, size: int) -> Iterator[Record]:
    if len(name) > _NAME:
        yield b"path", name
    if len(target) > _NAME:
        yield b"linkpath", target
    for key, number, limit in (
        (b"uid", facts.uid, _OCTAL_7),
        (b"gid", facts.gid, _OCTAL_7),
        (b"size", size, _OCTAL_11),
    ):
        if number >= limit:
            yield key, b"%d" % number


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
    fields = (
        name, b"%07o" % mode, b"%07o" % uid, b"%07o" % gid, b"%011o" % (size if size < _OCTAL_11 else 0),
        b"%011o" % (mtime if 0 <= mtime < _OCTAL_11 else 0), b" " * 8, kind, target, b"ustar\x0000", b"", b"",
        b"%07o" % device[0], b"%07o" % device[1],
    )  # fmt: skip
    raw = struct.pack("100s8s8s8s12s12s8s1s100s8s32s32s8s8s167x", *fields)
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts itself too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _decimal(nanoseconds: int) -> bytes:
    seconds, fraction = divmod(abs(nanoseconds), _SECOND)
    return b"%s%d.%09d" % (b"-" if nanoseconds < 0 else b"", seconds, fraction)


def attribute_records(attributes: Iterable[tuple[str, bytes]]) -> Iterator[Record]:
    for name, value in attributes:
        if name in _ACLS:
            yield _ACLS[name], _acl_text(value)
        elif name.startswith(_KEPT):
            # As GNU tar writes them: the name ends at the first equals sign.
            escaped = name.replace("%", "%25").replace("=", "%3D")
            yield b"SCHILY.xattr." + escaped.encode("utf-8", "surrogateescape"), value


def _acl_text(raw: bytes) -> bytes:
    """The text of an access list in the format of getxattr(2), with numbers for names."""
    out = []
    for tag, bits, number in _ACL_ENTRY.iter_unpack(raw[4 : 4 + (len(raw) - 4) // 8 * 8]):
        if tag not in _TAGS or bits > 7:
            raise Corrupt("an access list makes no sense")
        letters = "".join(letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
        out.append(f"{_TAGS[tag].format(number)}:{letters}")
    return ",".join(out).encode()
