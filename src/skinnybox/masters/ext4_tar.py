"""An ext4 volume as a pax tar that loses nothing: owners, times, links, devices, xattrs, ACLs, holes.

Only called in a confined process. What it streams is what GNU tar itself would have written with --xattrs
--acls --sparse; sockets are left out, as tar does.
"""

import struct
from collections.abc import Iterable, Iterator

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.ext4 import Node, Volume

_BLOCK = 512
_TYPES = {"-": b"0", "l": b"2", "c": b"3", "b": b"4", "d": b"5", "p": b"6"}
_HARD_LINK, _EXTENDED = b"1", b"x"
_NAME = 100
_OCTAL_7, _OCTAL_11 = 8**7, 8**11
_SECOND = 1_000_000_000
_END = bytes(2 * _BLOCK)
_ACLS = {"system.posix_acl_access": b"SCHILY.acl.access", "system.posix_acl_default": b"SCHILY.acl.default"}
_KEPT = ("user.", "trusted.", "security.")
_TAGS = {0x01: "user:", 0x02: "user:{}", 0x04: "group:", 0x08: "group:{}", 0x10: "mask:", 0x20: "other:"}
_ACL_ENTRY = struct.Struct("<HHI")

Record = tuple[bytes, bytes]
Run = tuple[int, int, int]


def tar_of(volume: Volume, *, apparent: int) -> Iterator[bytes]:
    """The whole volume, in pieces of at most 1 MiB. All files together may claim `apparent` bytes, holes
    included, and may hold what the volume can: then Unsupported, and Corrupt."""
    first: dict[int, bytes] = {}
    written = 0
    for path, node in volume.walk(b""):
        if node.type == "s":
            continue
        if node.links > 1 and node.type != "d":
            if node.inode in first:
                yield _member(_HARD_LINK, path, node, 0, [], target=b"./" + first[node.inode])
                continue
            first[node.inode] = path
        if node.type != "-":
            target = volume.target(node) if node.type == "l" else b""
            yield _member(_TYPES[node.type], path, node, 0, _attributes(volume, node), target=target)
            continue
        apparent -= node.size
        if apparent < 0:
            raise Unsupported(
                "its files are far larger than the disk they lie on",
                hint=f"the last was {path!r}: empty the largest sparse files and try again",
            )
        runs = _runs(volume, node)
        written += sum(length for _, _, length in runs)
        if written > volume.size:
            raise Corrupt("its files hold more than the volume can")
        yield from _file(volume, path, node, runs)
    yield _END


def _file(volume: Volume, path: bytes, node: Node, runs: list[Run]) -> Iterator[bytes]:
    held = sum(length for _, _, length in runs)
    records = _attributes(volume, node)
    if held == node.size or not volume.in_extents(node):
        yield _member(b"0", path, node, node.size, records)
        yield from volume.read(node)
        yield bytes(-node.size % _BLOCK)
        return
    table = _map(runs, node.size)
    records += [
        (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", b"./" + path), (b"GNU.sparse.realsize", b"%d" % node.size),
    ]  # fmt: skip
    size = len(table) + held
    yield _member(b"0", b"GNUSparseFile.0/" + path.rpartition(b"/")[2], node, size, records)
    yield table
    for _, physical, length in runs:
        yield from volume.raw(physical, length)
    yield bytes(-size % _BLOCK)


def _runs(volume: Volume, node: Node) -> list[Run]:
    """(logical, physical, length) in bytes; nothing for small files that lie in their inodes."""
    return list(volume.extents(node)) if volume.in_extents(node) else []


def _map(runs: list[Run], size: int) -> bytes:
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
    return table + bytes(-len(table) % _BLOCK)


def _member(
    kind: bytes, path: bytes, node: Node, size: int, records: list[Record], *, target: bytes = b""
) -> bytes:
    """The headers of one member. What ustar's fields cannot hold goes into an extended header before it."""
    name = b"./" + path + (b"/" if node.type == "d" and path else b"")
    records = [*records, *_overflow(name, target, node, size)]
    seconds, fraction = divmod(node.mtime_ns, _SECOND)
    if fraction or not 0 <= seconds < _OCTAL_11:
        records.append((b"mtime", _decimal(node.mtime_ns)))
    head = b""
    if records:
        body = b"".join(_record(key, value) for key, value in records)
        head = (
            _header(b"./PaxHeaders/x", _EXTENDED, 0o644, (0, 0), len(body), 0)
            + body
            + bytes(-len(body) % _BLOCK)
        )
    return head + _header(
        name[:_NAME],
        kind,
        node.mode,
        (node.uid, node.gid),
        size,
        seconds,
        target=target[:_NAME],
        device=node.rdev,
    )


def _overflow(name: bytes, target: bytes, node: Node, size: int) -> Iterator[Record]:
    if len(name) > _NAME:
        yield b"path", name
    if len(target) > _NAME:
        yield b"linkpath", target
    for key, number, limit in (
        (b"uid", node.uid, _OCTAL_7),
        (b"gid", node.gid, _OCTAL_7),
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


def _attributes(volume: Volume, node: Node) -> list[Record]:
    found = volume.xattrs(node)
    return list(_attribute_records(found.items())) if found else []


def _attribute_records(attributes: Iterable[tuple[str, bytes]]) -> Iterator[Record]:
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
