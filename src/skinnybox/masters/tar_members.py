"""Members of a tar of a whole tree, as GNU tar itself would write them with --xattrs --acls --sparse."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from skinnybox.errors import Corrupt
from skinnybox.masters import pax
from skinnybox.masters.pax import Record

_ACLS = {"system.posix_acl_access": b"SCHILY.acl.access", "system.posix_acl_default": b"SCHILY.acl.default"}
_KEPT = ("user.", "trusted.", "security.")
_TAGS = {0x01: "user:", 0x02: "user:{}", 0x04: "group:", 0x08: "group:{}", 0x10: "mask:", 0x20: "other:"}
_ACL_ENTRY = struct.Struct("<HHI")


class Facts(Protocol):
    """What a member is, beside its name and content. The type is a letter of `ls -l`."""

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


def named(path: bytes) -> bytes:
    """What a member is called in such a tar: its path has no leading slash."""
    return b"./" + path


def member(
    kind: bytes, path: bytes, facts: Facts, size: int, records: list[Record], *, target: bytes = b""
) -> bytes:
    """The headers of one member, of which `size` bytes follow; `kind` is one of pax."""
    name = named(path) + (b"/" if facts.type == "d" and path else b"")
    return _headers(kind, name, facts, size, records, target)


def hard_link(path: bytes, facts: Facts, first: bytes) -> bytes:
    """A further name of the file whose `first` path came before it."""
    return member(pax.HARD_LINK, path, facts, 0, [], target=named(first))


def sparse(
    path: bytes, facts: Facts, size: int, runs: list[pax.Run], records: list[Record]
) -> tuple[bytes, int]:
    """The headers of a file of `size` bytes of which only the runs are no hole, with the table that goes
    before what they hold; and how many bytes of content the member has with that."""
    own, table = pax.sparse(named(path), size, runs)
    content = len(table) + sum(length for _, length in runs)
    return _headers(b"0", pax.sparse_name(path), facts, content, records + own, b"") + table, content


def attributes(xattrs: Iterable[tuple[str, bytes]]) -> Iterator[Record]:
    """Those that GNU tar keeps, access lists as text. Raises Corrupt for a list that is none."""
    for name, value in xattrs:
        if name in _ACLS:
            yield _ACLS[name], _acl_text(value)
        elif name.startswith(_KEPT):
            yield pax.attribute(name, value)


def _headers(
    kind: bytes, name: bytes, facts: Facts, size: int, records: list[Record], target: bytes
) -> bytes:
    return pax.member(
        kind, name, mode=facts.mode, owner=(facts.uid, facts.gid), size=size, mtime_ns=facts.mtime_ns,
        records=records, target=target, device=facts.rdev,
    )  # fmt: skip


def _acl_text(raw: bytes) -> bytes:
    """The text of an access list in the format of getxattr(2), with numbers for names."""
    out = []
    for tag, bits, number in _ACL_ENTRY.iter_unpack(raw[4 : 4 + (len(raw) - 4) // 8 * 8]):
        if tag not in _TAGS or bits > 7:
            raise Corrupt("an access list makes no sense")
        letters = "".join(letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
        out.append(f"{_TAGS[tag].format(number)}:{letters}")
    return ",".join(out).encode()
