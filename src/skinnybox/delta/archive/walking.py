"""What a disk has that an archive tells, in an archive's order. Only in a confined process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from skinnybox.delta.archive.form import (
    KEPT_FLAGS,
    MOST_XATTRS,
    WHITEOUT,
    Line,
    Tree,
    archived_xattrs,
    line_text,
)
from skinnybox.delta.archive.form import xattrs_sum as sum_of
from skinnybox.delta.upper import OVERLAY_XATTRS
from skinnybox.errors import Corrupt, NotFound, Unsupported
from skinnybox.ext4 import Node, Volume
from skinnybox.printable import printable_path

_FOREIGN = tuple(OVERLAY_XATTRS + mark for mark in ("metacopy", "redirect", "whiteout"))
_BEING_FILLED = b"%"
_LARGEST = 1 << 62


@dataclass(slots=True)
class Group:
    """An inode with several names, of which so many are still to come; `content` once the first went by."""

    first: bytes
    left: int
    content: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """`line` tells all but a file's content. `xattrs` are those that the archive keeps. `again`: it is an
    inode that went by already, at `line.link`."""

    node: Node
    line: Line
    xattrs: Mapping[str, bytes]
    group: Group | None = None

    @property
    def again(self) -> bool:
        return self.line.link is not None

    def text(self, content: str) -> bytes:
        """The whole line of the index; `content` is "" of what is no file, and of a name after the first."""
        if self.group is not None:
            if self.again:
                content = self.group.content
            self.group.content = content
        return line_text(self.line, content)


def walked(volume: Volume, tree: Tree) -> Iterator[Found]:
    """All names of a tree; nothing where the disk has none. Raises Corrupt; Unsupported for what an archive
    cannot tell."""
    links = _Links()
    try:
        top = volume.lookup(tree.top)
    except NotFound:
        return
    if top.type != "d":
        return
    hidden = b""
    for path, node in volume.walk(tree.top, _refuse_cut):
        if hidden and path.startswith(hidden):
            continue
        if not tree.overlays and path.startswith(_BEING_FILLED):
            hidden = path.partition(b"/")[0] + b"/"
            continue
        if node.type != "s":
            yield _found(volume, tree, path, node, links)


def _refuse_cut(path: bytes, why: str) -> None:
    raise Unsupported(
        f"/{printable_path(path)}: {why}", hint="no backup of it would be whole: move it in the machine"
    )


def _found(volume: Volume, tree: Tree, path: bytes, node: Node, links: "_Links") -> Found:
    if tree.overlays and node.type == "c" and node.rdev == WHITEOUT:
        return Found(node, Line(tree.name, path, "c", 0, 0, 0, 0), {})
    if node.type == "-" and node.size > _LARGEST:
        raise Corrupt(f"/{printable_path(path)}: a file of {node.size} bytes")
    found = volume.xattrs(node)
    if found and tree.overlays:
        _refuse_foreign(path, found)
    xattrs = archived_xattrs(tree, found) if found else found
    group = links.group(path, node)
    line = Line(
        tree.name,
        path,
        node.type,
        node.mode,
        node.uid,
        node.gid,
        node.mtime_ns,
        size=node.size if node.type == "-" else 0,
        rdev=node.rdev,
        target=volume.target(node) if node.type == "l" else b"",
        link=None if group is None or group.first == path else group.first,
        flags=node.flags & KEPT_FLAGS,
        xattrs=sum_of(xattrs) if xattrs else "",
    )
    return Found(node, line, xattrs, group)


def _refuse_foreign(path: bytes, xattrs: Mapping[str, bytes]) -> None:
    mark = next((mark for mark in _FOREIGN if mark in xattrs), None)
    if mark is not None:
        raise Unsupported(
            f"/{printable_path(path)}: another kernel's way to keep it ({mark}): its content is not here",
            hint="a machine keeps it so that was mounted with options of another's: copy it in the machine",
        )
    if sum(len(name) + len(value) for name, value in xattrs.items()) > MOST_XATTRS:
        raise Unsupported(f"/{printable_path(path)}: more attributes than an archive can tell")


class _Links:
    """The inodes that have several names, as long as some of those are still to come."""

    def __init__(self) -> None:
        self._groups: dict[int, Group] = {}

    def group(self, path: bytes, node: Node) -> Group | None:
        if node.links < 2 or node.type == "d":
            return None
        group = self._groups.setdefault(node.inode, Group(path, node.links))
        group.left -= 1
        if group.left <= 0:
            del self._groups[node.inode]
        return group
