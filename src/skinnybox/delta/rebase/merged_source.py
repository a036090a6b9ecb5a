"""A machine's files as it sees them: its upper directory over the old master. Read as a master's are, to know
the machine's packages, accounts and units."""

from functools import lru_cache

from skinnybox.delta.upper import OPAQUE
from skinnybox.errors import Corrupt, NotFound
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.system.source import Source, bytes_of, text_of

UPPER = b"upper"


class Merged:
    """A Source. Raises Corrupt, as reading either side does."""

    def __init__(self, volume: Volume, lower: Source) -> None:
        self._volume = volume
        self._lower = lower
        self._find = lru_cache(maxsize=4096)(self._look)
        self._root = volume.lookup(UPPER)
        if self._root.type != "d":
            raise Corrupt("the overlay has no upper directory")

    def untouched(self, path: str) -> bool:
        """Whether it is the lower's, with all that is below it."""
        return self._find(path) == (None, True)

    def has_own(self, path: str) -> bool:
        """Whether the machine has anything there or below it that is no folder, a deletion as well. A folder
        alone is nothing: one is copied up when somebody only changes its mode."""
        node, _ = self._find(path)
        pending = [] if node is None else [node]
        while pending:
            found = pending.pop()
            if found.type != "d":
                return True
            pending += [child for _, child in self._volume.children(found)]
        return False

    def names(self, folder: str) -> list[str]:
        node, below = self._find(folder)
        found = set(self._lower.names(folder)) if below else set[str]()
        for name, child in self._upper(node):
            found.discard(name) if _is_whiteout(child) else found.add(name)
        return sorted(found)

    def links(self, folder: str) -> dict[str, str]:
        node, below = self._find(folder)
        found = self._lower.links(folder) if below else {}
        for name, child in self._upper(node):
            found.pop(name, None)
            if child.type == "l":
                found[name] = text_of(self._volume.target(child))
        return found

    def read(self, path: str, limit: int) -> bytes | None:
        node, below = self._find(path)
        if node is None:
            return self._lower.read(path, limit) if below else None
        return b"".join(self._volume.read(node, limit)) if node.type == "-" else None

    def _upper(self, folder: Node | None) -> list[tuple[str, Node]]:
        if folder is None:
            return []
        return [(text_of(name), child) for name, child in self._volume.children(folder)]

    def _look(self, path: str) -> tuple[Node | None, bool]:
        """What the upper directory has there, and whether the lower is seen there as well, or alone."""
        node: Node | None = self._root
        below = True
        for part in bytes_of(path).split(b"/") if path else []:
            if node is None or node.type != "d":
                return None, below and node is None
            node = self._child(node, part)
            if node is not None and (node.type != "d" or self._hides(node)):
                below = False
        return (None, False) if node is not None and _is_whiteout(node) else (node, below)

    def _child(self, folder: Node, name: bytes) -> Node | None:
        try:
            return self._volume.within(folder, name)
        except NotFound:
            return None

    def _hides(self, folder: Node) -> bool:
        return self._volume.xattrs(folder).get(OPAQUE) == b"y"


def _is_whiteout(node: Node) -> bool:
    return node.type == "c" and node.rdev == (0, 0)
