"""The folders on the way to where a walk is, in the machine's upper directory as it will be: which are there,
which go when nothing stays in them, and which are made for what is put there.

Only these are held: as many as a path has.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from skinnybox.delta.rebase.streams import is_below
from skinnybox.errors import Corrupt
from skinnybox.ext4 import Node
from skinnybox.masters.index import Entry
from skinnybox.overlays.edits import Alteration

_INDEXED = 0x1000


@dataclass(slots=True)
class Folder:
    """`node` where the machine has it; `old` and `new` what the masters have there. `hides`: nothing of the
    new master is seen below it; `unmarked`: it hid the old one's, so that marks below it said nothing, and
    hides no more. `pending`: what is written down when it turns out that it stays."""

    path: bytes
    node: Node | None = None
    old: Entry | None = None
    new: Entry | None = None
    hides: bool = False
    unmarked: bool = False
    pending: "tuple[bytes, Alteration | None] | None" = None
    made: bool = False

    @property
    def name(self) -> bytes:
        return self.path.rpartition(b"/")[2]

    @property
    def is_indexed(self) -> bool:
        return self.node is not None and bool(self.node.flags & _INDEXED)


class Folders:
    """`stays` is called for a folder that turns out to stay, `goes` for one that does not, `make` for one
    that has to be made."""

    def __init__(
        self,
        stays: Callable[[Folder], None],
        goes: Callable[[Folder, Folder], None],
        make: Callable[[Folder, "Folder", tuple[bytes, ...]], None],
    ) -> None:
        self._stays, self._goes, self._make = stays, goes, make
        self._open: list[Folder] = []
        self._solid: bytes | None = None

    def reach(self, path: bytes) -> None:
        """The walk is at this path: what it is not below is left."""
        while self._open and not is_below(path, self._open[-1].path):
            self._leave()

    def end(self) -> None:
        while self._open:
            self._leave()

    @property
    def hidden(self) -> bool:
        """Whether nothing of the new master is seen here."""
        return bool(self._open) and self._open[-1].hides

    @property
    def unmarked(self) -> bool:
        return bool(self._open) and self._open[-1].unmarked

    @property
    def node(self) -> Node:
        """Of the folder here. Only where the machine has one."""
        found = self._open[-1].node
        assert found is not None
        return found

    def enter(self, folder: Folder) -> None:
        folder.hides = folder.hides or self.hidden
        folder.unmarked = folder.unmarked or self.unmarked
        self._open.append(folder)

    def meet(self, path: bytes) -> None:
        """Something other than a folder will be seen here."""
        self._solid = path

    def occupied(self) -> None:
        """Something stays here: so all folders around do."""
        for folder in self._open:
            if folder.pending is not None:
                self._stays(folder)
                folder.pending = None

    def prepared(self, path: bytes) -> tuple[Folder, tuple[bytes, ...]]:
        """The folder of the machine's in which `path` can be made, and the names below that on the way, which
        are made where they are not there yet. Raises Corrupt where there is something else on that way."""
        if self._solid is not None and is_below(path, self._solid):
            raise Corrupt(f"/{_told(self._solid)} is no folder, and /{_told(path)} is to be below it")
        for missing in self._missing(path):
            self.enter(Folder(missing))
        return self.made()

    def made(self) -> tuple[Folder, tuple[bytes, ...]]:
        """The same of what comes into the folder here, which is there from now on, whatever does."""
        self.occupied()
        start = max(number for number, folder in enumerate(self._open) if folder.node is not None)
        base, below = self._open[start], tuple[bytes, ...]()
        for folder in self._open[start + 1 :]:
            if not folder.made:
                self._make(folder, base, below)
                folder.made = True
            below = (*below, folder.name)
        return base, below

    def _missing(self, path: bytes) -> Iterator[bytes]:
        """Folders that nobody has."""
        here, parent = self._open[-1].path, path.rpartition(b"/")[0]
        rest = parent[len(here) :].strip(b"/")
        for name in rest.split(b"/") if rest else ():
            here = here + b"/" + name if here else name
            yield here

    def _leave(self) -> None:
        folder = self._open.pop()
        if folder.pending is not None:
            self._goes(folder, self._open[-1])


def _told(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
