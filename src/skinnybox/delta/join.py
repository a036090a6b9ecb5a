"""What a machine made its own: the names of its upper directory against the index of its stack.

Both sides come sorted, so they are joined like two sorted lists; neither is held in memory.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from skinnybox.delta.upper import OPAQUE, OVERLAY_XATTRS, UpperNode, kept_xattrs, sort_key
from skinnybox.errors import Corrupt
from skinnybox.masters.index import Entry
from skinnybox.model import Change, ChangeKind

_METACOPY, _REDIRECT = OVERLAY_XATTRS + "metacopy", OVERLAY_XATTRS + "redirect"
# On an empty file: since Linux 6.7 it hides what is below. Overlayfs itself makes only devices 0/0.
_HIDES = OVERLAY_XATTRS + "whiteout"
_WHITEOUT = (0, 0)


N = TypeVar("N", bound=UpperNode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader(Generic[N]):
    """What the join asks of a node: `flags`, the letters of lsattr, of whatever it tells; the rest only where
    the stack has its name too, for to read is dear.

    `xattrs` by full name, `target` of a symlink, and `differs`: whether a file that is as long as the
    entry's, and not empty, holds something else.
    """

    xattrs: Callable[[N], Mapping[str, bytes]]
    target: Callable[[N], bytes]
    differs: Callable[[N, Entry], bool]
    flags: Callable[[N], str]


def joined(upper: Iterable[tuple[bytes, N]], reader: Reader[N], index: Iterable[Entry]) -> Iterator[Change]:
    """Everything that differs, in canonical order; a deleted directory is one change. Raises Corrupt for an
    index out of order, and what reading the upper raises.

    `upper` comes as a walk gives it: the upper itself as b"", then parents first, siblings by the bytes of
    their names, nothing below what is no directory.
    """
    lower = _Lower(index)
    cut: bytes | None = None  # the outermost opaque directory around: below it the lower's names are gone
    for path, node in upper:
        yield from _gone_before(lower, sort_key(path), cut)
        entry = lower.take(path)
        if node.type == "c" and node.rdev == _WHITEOUT:
            if entry is not None:
                yield _deleted(entry, lower)
            continue
        if entry is None:
            yield _change(ChangeKind.ADDED, path, node, ", ".join(_flags(node, reader)))
            continue
        if node.type != entry.type:
            yield _retyped(node, entry, lower, reader)
            continue
        xattrs = reader.xattrs(node)
        if _is_opaque(path, xattrs) and not (cut is not None and _is_below(path, cut)):
            cut = path
        yield from _compared(node, entry, xattrs, reader)
    yield from _gone_before(lower, None, cut)


def with_unread(changes: Iterable[Change], unread: list[Change]) -> Iterator[Change]:
    """Those, and each in its place what is added to `unread` while they are made."""
    for change in changes:
        yield from _taken(unread)
        yield change
    yield from _taken(unread)


def unread_folder(path: bytes, why: str) -> Change:
    return Change(path=path, kind=ChangeKind.UNREAD, type="d", detail=why)


def _taken(unread: list[Change]) -> list[Change]:
    taken = list(unread)
    unread.clear()
    return taken


class _Lower:
    """The index, one entry at a time."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = iter(entries)
        self.head: Entry | None = None
        self.key = b""
        self.advance()

    def advance(self) -> None:
        self.head = next(self._entries, None)
        key = b"" if self.head is None else sort_key(self.head.path)
        if self.head is not None and self.head.path and key <= self.key:
            raise Corrupt(f"the index is not in order at {self.head.path!r}")
        self.key = key

    def take(self, path: bytes) -> Entry | None:
        """The entry for this path, if the index has it."""
        found = self.head
        if found is None or found.path != path:
            return None
        self.advance()
        return found

    def skip_below(self, path: bytes) -> int:
        """Pass over all that lies below a directory; how much it was."""
        count = 0
        while self.head is not None and _is_below(self.head.path, path):
            self.advance()
            count += 1
        return count


def _is_opaque(path: bytes, xattrs: Mapping[str, bytes]) -> bool:
    """Whether the stack's names below it are gone. The mark does nothing on the upper directory itself:
    overlayfs asks for it where it looks a directory up, and nobody looks up the root."""
    return path != b"" and xattrs.get(OPAQUE) == b"y"


def _gone_before(lower: _Lower, key: bytes | None, cut: bytes | None) -> Iterator[Change]:
    """The index's entries up to `key` that the upper does not have: deleted only where they are cut off."""
    while (entry := lower.head) is not None and (key is None or lower.key < key):
        lower.advance()
        if cut is not None and _is_below(entry.path, cut):
            yield _deleted(entry, lower)


def _deleted(entry: Entry, lower: _Lower) -> Change:
    return Change(
        path=entry.path,
        kind=ChangeKind.DELETED,
        type=entry.type,
        size=entry.size,
        detail=_below(lower.skip_below(entry.path)) if entry.type == "d" else "",
    )


def _retyped(node: N, entry: Entry, lower: _Lower, reader: Reader[N]) -> Change:
    gone = _below(lower.skip_below(entry.path))
    detail = ", ".join(filter(None, (f"{entry.type} -> {node.type}", gone, *_flags(node, reader))))
    return _change(ChangeKind.TYPE, entry.path, node, detail)


def _below(count: int) -> str:
    return f"with {count} below" if count else ""


def _compared(node: N, entry: Entry, xattrs: Mapping[str, bytes], reader: Reader[N]) -> Iterator[Change]:
    metadata = [
        *_permissions(node, entry),
        *_flags(node, reader),
        *_attributes(xattrs, entry),
        *_time(node, entry),
        *(mark.removeprefix(OVERLAY_XATTRS) for mark in (_METACOPY, _REDIRECT, _HIDES) if mark in xattrs),
    ]
    if _METACOPY not in xattrs and _content_differs(node, entry, reader):
        told = [word for word in metadata if word != "mtime"]
        yield _change(ChangeKind.MODIFIED, entry.path, node, ", ".join(told))
    elif metadata:
        yield _change(ChangeKind.METADATA, entry.path, node, ", ".join(metadata))


def is_as_stack(node: N, entry: Entry, xattrs: Mapping[str, bytes], reader: Reader[N]) -> bool:
    """Whether a node of the entry's type says nothing that the stack does not: no change is told of it."""
    return next(_compared(node, entry, xattrs, reader), None) is None


def _content_differs(node: N, entry: Entry, reader: Reader[N]) -> bool:
    if node.type == "l":
        return reader.target(node) != entry.target
    if node.type in "bc":
        return os.makedev(*node.rdev) != entry.rdev
    if node.type != "-":
        return False
    return node.size != entry.size or (node.size > 0 and reader.differs(node, entry))


def _permissions(node: UpperNode, entry: Entry) -> Iterator[str]:
    """What differs, in words. A symlink's mode says nothing: nobody sets it, no copy-up keeps it."""
    if node.mode != entry.mode and node.type != "l":
        yield f"mode {entry.mode:o} -> {node.mode:o}"
    if (node.uid, node.gid) != (entry.uid, entry.gid):
        yield f"owner {entry.uid}:{entry.gid} -> {node.uid}:{node.gid}"


def _attributes(xattrs: Mapping[str, bytes], entry: Entry) -> Iterator[str]:
    old, new = kept_xattrs(dict(entry.xattrs)), kept_xattrs(xattrs)
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if names:
        yield f"xattrs {' '.join(names)}"


def _flags(node: N, reader: Reader[N]) -> Iterator[str]:
    """Whatever there is: the stack has none."""
    if letters := reader.flags(node):
        yield f"flags {letters}"


def _time(node: UpperNode, entry: Entry) -> Iterator[str]:
    """A directory's says nothing: the kernel sets it at each copy-up."""
    if node.type != "d" and node.mtime_ns != entry.mtime_ns:
        yield "mtime"


def _change(kind: ChangeKind, path: bytes, node: UpperNode, detail: str = "") -> Change:
    size = node.size if node.type in "-l" else 0
    return Change(path=path, kind=kind, type=node.type, size=size, detail=detail)


def _is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder + b"/") if folder else bool(path)
