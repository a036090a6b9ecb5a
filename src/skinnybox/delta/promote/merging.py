"""The names of a machine's root as they go into a master: its upper directory over its stack, without what is
left out. Both come in canonical order and are gone through together, twice; neither is held.

The first time tells which folders are the machine's own work. All others are the stack's still, with its
time: overlayfs makes a folder in the upper directory for whatever lies in it, also for what is left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from skinnybox.delta.promote.choosing import Altered, Chooser, Fate, Left
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.upper import OPAQUE, OVERLAY_XATTRS, kept_xattrs, sort_key
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import Entry, Line

_ELSEWHERE = tuple(OVERLAY_XATTRS + name for name in ("metacopy", "redirect", "whiteout"))
Upper = Iterable[tuple[bytes, Node]]


class ByPath(Protocol):
    def at(self, path: bytes) -> Line | None: ...


@dataclass(frozen=True, slots=True)
class Own:
    """A name of the upper directory; of a file that is altered the `content` that it gets."""

    path: bytes
    node: Node
    content: bytes | None = None


Item = Own | Entry


def is_whiteout(node: Node) -> bool:
    return node.type == "c" and node.rdev == (0, 0)


@dataclass(frozen=True, slots=True)
class Told:
    """A name of the upper directory and what becomes of it, where that is not just that it goes there."""

    path: bytes
    node: Node
    fate: Left | Altered


@dataclass(slots=True)
class Folders:
    """Which folders of the upper directory are more than what lies in them."""

    own: set[bytes] = field(default_factory=set)
    _seeds: list[bytes] = field(default_factory=list)

    def keep(self, path: bytes) -> None:
        """Something stays at this path, in whatever folders there are."""
        self.own.update(folder for folder in self._seeds if is_below(path, folder))

    def named(self, path: bytes) -> None:
        """A name came or went there."""
        self.own.add(path.rpartition(b"/")[0])

    def seeds(self, path: bytes) -> None:
        """One that the guest part made for a seed's files: it stays if something else does in it."""
        self._seeds = [folder for folder in self._seeds if is_below(path, folder)] + [path]


def surveyed(upper: Upper, index: ByPath, chooser: Chooser, folders: Folders) -> Iterator[Told]:
    """Fills `folders`, and tells of what is left out and altered on the way. Raises Unsupported for what
    overlayfs keeps somewhere else, Corrupt; NotFound at the end, as `refuse_unmet`."""
    opaque: bytes | None = None
    for path, node in upper:
        chooser.see(path)
        hidden = opaque is not None and is_below(path, opaque)
        line = None if hidden else index.at(path)
        entry = None if line is None else line.entry()
        if is_whiteout(node):
            if entry is not None:
                yield from _deleted(path, node, chooser, folders)
            continue
        fate = chooser.fate(path, node, entry)
        if fate is not None:
            yield Told(path, node, fate)
        if isinstance(fate, Left):
            continue
        xattrs = own_xattrs(path, node, chooser.volume)
        if node.type != "d":
            folders.keep(path)
            if entry is None or entry.type != node.type:
                folders.named(path)
            continue
        if path and not hidden and xattrs.get(OPAQUE) == b"y":
            opaque = path
        if entry is not None and entry.type == "d":
            if opaque == path or not is_same(node, xattrs, entry):
                folders.own.add(path)
                folders.keep(path)
        elif entry is None and chooser.brings_folder(path, node):
            folders.seeds(path)
        else:
            folders.own.add(path)
            folders.named(path)
            folders.keep(path)
    chooser.refuse_unmet()


def _deleted(path: bytes, node: Node, chooser: Chooser, folders: Folders) -> Iterator[Told]:
    asked = chooser.asked(path)
    if asked is not None:
        yield Told(path, node, asked)
        return
    folders.named(path)
    folders.keep(path)


def own_xattrs(path: bytes, node: Node, volume: Volume) -> dict[str, bytes]:
    """Unsupported for what overlayfs keeps somewhere else."""
    found = volume.xattrs(node)
    for name in _ELSEWHERE:
        if name in found:
            raise Unsupported(
                f"/{path.decode('utf-8', 'backslashreplace')} has {name}, which no guest of ours sets"
            )
    return found


def is_same(node: Node, xattrs: dict[str, bytes], entry: Entry) -> bool:
    """Of two folders, but for their time."""
    own = node.mode, node.uid, node.gid, kept_xattrs(xattrs)
    return own == (entry.mode, entry.uid, entry.gid, kept_xattrs(dict(entry.xattrs)))


def merged(upper: Upper, lower: Iterable[Line], chooser: Chooser, folders: Folders) -> Iterator[Item]:
    """Every name of the master, parents first. `folders` as `surveyed` filled it. Raises as that does."""
    stack = _Stack(lower)
    opaque: bytes | None = None
    for path, node in upper:
        yield from stack.before(path, opaque)
        if opaque is not None and not is_below(path, opaque):
            opaque = None
        entry = stack.take(path)
        seen = None if opaque is not None else entry
        fate: Fate = chooser.asked(path) if is_whiteout(node) else chooser.fate(path, node, seen)
        if isinstance(fate, Left):
            if seen is not None:
                yield seen
            continue
        if node.type != "d":
            if entry is not None:
                stack.skip_below(path)
            if not is_whiteout(node):
                yield Own(path, node, fate.content if isinstance(fate, Altered) else None)
            continue
        if path in folders.own:
            if path and opaque is None and chooser.volume.xattrs(node).get(OPAQUE) == b"y":
                opaque = path
            yield Own(path, node)
        elif seen is not None:
            yield seen
    yield from stack.before(None, opaque)


class _Stack:
    """The index, one line at a time."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self._key = b""
        self.head: Line | None = None
        self._advance()

    def _advance(self) -> None:
        self.head = next(self._lines, None)
        key = b"" if self.head is None else sort_key(self.head.path)
        if self.head is not None and self.head.path and key <= self._key:
            raise Corrupt(f"the index is not in order at {self.head.path!r}")
        self._key = key

    def before(self, path: bytes | None, opaque: bytes | None) -> Iterator[Entry]:
        """Those before a path of the upper directory, but for what an opaque folder hides."""
        key = None if path is None else sort_key(path)
        while self.head is not None and (key is None or self._key < key):
            line = self.head
            self._advance()
            if opaque is None or not is_below(line.path, opaque):
                yield line.entry()

    def take(self, path: bytes) -> Entry | None:
        if self.head is None or self.head.path != path:
            return None
        found = self.head.entry()
        self._advance()
        return found

    def skip_below(self, path: bytes) -> None:
        while self.head is not None and is_below(self.head.path, path):
            self._advance()
