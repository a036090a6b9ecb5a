"""What stands at each name of an upper directory, in one line: as it is to be, and as it is.

What was not altered is told by its inode and by where its blocks lie, so nobody reads it twice.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from skinnybox.delta.upper import UpperNode
from skinnybox.errors import Corrupt
from skinnybox.ext4 import Node, Volume

_LONGEST = 1 << 16
_KEPT, _MADE = "kept", "made"
Xattrs = Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`content` is a file's digest, or a symlink's target."""

    type: str
    mode: int
    uid: int
    gid: int
    xattrs: Xattrs
    mtime_ns: int = 0
    size: int = 0
    rdev: tuple[int, int] = (0, 0)
    content: str = ""


def kept(path: bytes, node: Node, standing: Standing) -> bytes:
    """Of one that is the same inode afterwards, with that mode, owner and those attributes. When a folder was
    last written to, and where its names lie, says nothing."""
    own: list[Any] = [node.inode]
    if node.type != "d":
        own += [node.mtime_ns, node.size, node.rdev, node.flags, node.map.hex()]
    return _line([_KEPT, *_common(path, standing), *own])


def made(path: bytes, standing: Standing) -> bytes:
    """Of one that is new."""
    own: list[Any] = []
    if standing.type != "d":
        own = [standing.mtime_ns, standing.size, standing.rdev, standing.content]
    return _line([_MADE, *_common(path, standing), *own])


def _common(path: bytes, standing: Standing) -> list[Any]:
    name = path.rpartition(b"/")[2]
    depth = path.count(b"/") + bool(path)
    told = name.decode("utf-8", "surrogateescape")
    return [depth, told, standing.type, standing.mode, standing.uid, standing.gid, _sum(standing.xattrs)]


def _sum(xattrs: Xattrs) -> str:
    if not xattrs:
        return ""
    digest = hashlib.sha256()
    for name, value in sorted(xattrs.items()):
        for part in (name.encode("utf-8", "surrogateescape"), value):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:32]


def _line(value: list[Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def of_node(node: UpperNode, xattrs: Xattrs) -> Standing:
    return Standing(type=node.type, mode=node.mode, uid=node.uid, gid=node.gid, xattrs=xattrs)


def without(found: Standing, name: str) -> Standing:
    """But for an attribute."""
    return replace(found, xattrs={key: value for key, value in found.xattrs.items() if key != name})


def compare(expected: BinaryIO, volume: Volume, found: Iterable[tuple[bytes, Node]]) -> None:
    """Whether a walk meets what the lines say, and nothing else. Raises Corrupt, with the first path that
    differs."""
    for path, node in found:
        line = expected.readline(_LONGEST)
        if line != _as_told(line, path, node, volume):
            raise Corrupt(
                f"/{path.decode('utf-8', 'backslashreplace')} is not what it was to be: {line!r:.200}"
            )
    if line := expected.readline(_LONGEST):
        raise Corrupt(f"something is missing: {line!r:.200}")


def _as_told(line: bytes, path: bytes, node: Node, volume: Volume) -> bytes:
    """The line of what is there, of the kind that was told."""
    standing = of_node(node, volume.xattrs(node))
    if not line.startswith(b'["made"'):
        return kept(path, node, standing)
    return made(
        path,
        Standing(
            type=node.type,
            mode=node.mode,
            uid=node.uid,
            gid=node.gid,
            xattrs=standing.xattrs,
            mtime_ns=node.mtime_ns,
            size=node.size if node.type in "-l" else 0,
            rdev=node.rdev,
            content=_content(node, volume),
        ),
    )


def _content(node: Node, volume: Volume) -> str:
    if node.type == "l":
        return volume.target(node).decode("utf-8", "surrogateescape")
    if node.type != "-":
        return ""
    digest = hashlib.sha256()
    for piece in volume.read(node):
        digest.update(piece)
    return digest.hexdigest()
