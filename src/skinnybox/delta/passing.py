"""What a join of both sides has just gone past when it tells of a change: so neither side is held."""

from collections.abc import Container, Iterable, Iterator, Mapping

from skinnybox.delta.whose import Owned
from skinnybox.ext4 import Node
from skinnybox.masters.index import Entry
from skinnybox.model import Change, ChangeKind

_WHITEOUT = (0, 0)


class Passing:
    """`pending` gets what differs in nothing: a file of which no change was told when the next one came."""

    def __init__(
        self, pending: list[Change], owned: Mapping[bytes, Owned], expected: Container[bytes]
    ) -> None:
        self._pending, self._owned, self._expected = pending, owned, expected
        self._path: bytes | None = None
        self._node: Node | None = None
        self._told = True
        self._strays: tuple[bytes, bytes] = (b"", b"")
        self.wanted: dict[bytes, Entry] = {}

    def nodes(self, found: Iterable[tuple[bytes, Node]]) -> Iterator[tuple[bytes, Node]]:
        """As they come."""
        for path, node in found:
            self._end()
            self._path, self._node, self._told = path, node, False
            yield path, node
        self._end()

    def entries(self, found: Iterable[Entry]) -> Iterator[Entry]:
        """As they come; those at paths of the seed are kept."""
        for entry in found:
            if entry.path in self._expected:
                self.wanted[entry.path] = entry
            if entry.type != "d" and not self._is_masters(entry.path):
                self._strays = self._strays[1], entry.path
            yield entry

    def changes(self, found: Iterable[Change]) -> Iterator[Change]:
        """As they come."""
        for change in found:
            if change.path == self._path:
                self._told = True
            yield change

    def node_of(self, change: Change) -> Node | None:
        """What stands there now; None of what is gone."""
        here = change.path == self._path and change.kind is not ChangeKind.DELETED
        return self._node if here else None

    def is_stray(self, change: Change) -> bool:
        """Of a folder that is gone, just told: whether anything in it is not of the packages that went with
        it. The index is one entry ahead, so it is one of the last two."""
        return any(path.startswith(change.path + b"/") for path in self._strays)

    def _is_masters(self, path: bytes) -> bool:
        owned = self._owned.get(path)
        return owned is not None and owned.master and not owned.machine

    def _end(self) -> None:
        """The next one comes, or none: all was told of this one."""
        node, path = self._node, self._path
        if node is None or path is None or self._told or node.type == "d" or node.links > 1:
            return
        if node.type != "c" or node.rdev != _WHITEOUT:
            size = node.size if node.type in "-l" else 0
            self._pending.append(Change(path=path, kind=ChangeKind.SAME, type=node.type, size=size))
        self._told = True
