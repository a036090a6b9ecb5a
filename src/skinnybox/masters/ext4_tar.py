"""An ext4 volume as a pax tar that loses nothing: owners, times, links, devices, xattrs, ACLs, holes.

Only called in a confined process. What it streams is what GNU tar itself would have written with --xattrs
--acls --sparse; sockets are left out, as tar does.
"""

import struct
from collections.abc import Iterable, Iterator

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.ext4 import Node, Volume
from skinnybox.masters import pax

_ACLS = {"system.posix_acl_access": b"SCHILY.acl.access", "system.posix_acl_default": b"SCHILY.acl.default"}
_KEPT = ("user.", "trusted.", "security.")
_TAGS = {0x01: "user:", 0x02: "user:{}", 0x04: "group:", 0x08: "group:{}", 0x10: "mask:", 0x20: "other:"}
_ACL_ENTRY = struct.Struct("<HHI")

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
                yield _member(pax.HARD_LINK, path, node, 0, [], target=b"./" + first[node.inode])
                continue
            first[node.inode] = path
        if node.type != "-":
            target = volume.target(node) if node.type == "l" else b""
            yield _member(pax.TYPES[node.type], path, node, 0, _attributes(volume, node), target=target)
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
    yield pax.END


def _file(volume: Volume, path: bytes, node: Node, runs: list[Run]) -> Iterator[bytes]:
    held = sum(length for _, _, length in runs)
    records = _attributes(volume, node)
    if held == node.size or not volume.in_extents(node):
        yield _member(b"0", path, node, node.size, records)
        yield from volume.read(node)
        yield pax.padding(node.size)
        return
    own, table = pax.sparse(b"./" + path, node.size, ((logical, length) for logical, _, length in runs))
    size = len(table) + held
    yield _member(b"0", pax.sparse_name(path), node, size, records + own)
    yield table
    for _, physical, length in runs:
        yield from volume.raw(physical, length)
    yield pax.padding(size)


def _runs(volume: Volume, node: Node) -> list[Run]:
    """(logical, physical, length) in bytes; nothing for small files that lie in their inodes."""
    return list(volume.extents(node)) if volume.in_extents(node) else []


def _member(
    kind: bytes, path: bytes, node: Node, size: int, records: list[pax.Record], *, target: bytes = b""
) -> bytes:
    return pax.member(
        kind,
        b"./" + path + (b"/" if node.type == "d" and path else b""),
        mode=node.mode,
        owner=(node.uid, node.gid),
        size=size,
        mtime_ns=node.mtime_ns,
        records=records,
        target=target,
        device=node.rdev,
    )


def _attributes(volume: Volume, node: Node) -> list[pax.Record]:
    found = volume.xattrs(node)
    return list(_attribute_records(found.items())) if found else []


def _attribute_records(attributes: Iterable[tuple[str, bytes]]) -> Iterator[pax.Record]:
    for name, value in attributes:
        if name in _ACLS:
            yield _ACLS[name], _acl_text(value)
        elif name.startswith(_KEPT):
            yield pax.attribute(name, value)


def _acl_text(raw: bytes) -> bytes:
    """The text of an access list in the format of getxattr(2), with numbers for names."""
    out = []
    for tag, bits, number in _ACL_ENTRY.iter_unpack(raw[4 : 4 + (len(raw) - 4) // 8 * 8]):
        if tag not in _TAGS or bits > 7:
            raise Corrupt("an access list makes no sense")
        letters = "".join(letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
        out.append(f"{_TAGS[tag].format(number)}:{letters}")
    return ",".join(out).encode()
