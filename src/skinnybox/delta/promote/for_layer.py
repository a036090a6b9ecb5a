"""The names of a machine's own that go into a layer: of its upper directory alone, without what its stack
shows as well, without what no master has, and without what no layer may hold.

A layer only adds. So what was deleted is seen again where it lies, a folder that hid the stack's is one with
it, and folders that the stack has stay as they are there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from skinnybox.delta.join import Reader, is_as_stack
from skinnybox.delta.promote import places
from skinnybox.delta.promote.choosing import Altered, Chooser, Left
from skinnybox.delta.promote.merging import ByPath, Item, Own, Told, Upper, is_same, is_whiteout, own_xattrs
from skinnybox.delta.promote.places import Reason
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.upper import OPAQUE
from skinnybox.delta.upper_disk import reader_of
from skinnybox.errors import NotFound
from skinnybox.ext4 import Node
from skinnybox.masters.index import Entry
from skinnybox.masters.layers import unfit
from skinnybox.masters.layers.unfit import Unfit
from skinnybox.printable import printable_path

_HIDES = "what the stack has there would be hidden"
_OTHERWISE = "leave it out: a layer only adds to folders of what it lies above"


def of_layer(upper: Upper, index: ByPath, chooser: Chooser) -> Iterator[Item | Told]:
    """Each name that goes there, parents first, and what does not, or not as it is. Raises Corrupt;
    Unsupported for what no layer may hold at a path that was asked for, NotFound for one with nothing."""
    walker = _Walker(index, chooser, reader_of(chooser.volume))
    for path, node in upper:
        chooser.see(path)
        if walker.is_asked(path, node):
            yield from walker.told(path, node)
    chooser.refuse_unmet()
    walker.refuse_unmet()


@dataclass(slots=True)
class _Walker:
    """`hiding` is the outermost folder around that is something else in the stack; `around` are folders out
    of which nothing has come yet."""

    index: ByPath
    chooser: Chooser
    reader: Reader[Node]
    hiding: bytes | None = None
    around: list[Item] = field(default_factory=list)
    met: set[bytes] = field(default_factory=set)

    def is_asked(self, path: bytes, node: Node) -> bool:
        """Also a folder on the way."""
        paths = self.chooser.whose.paths
        return not paths or any(
            _at(path, each) or (node.type == "d" and is_below(each, path)) for each in paths
        )

    def told(self, path: bytes, node: Node) -> Iterator[Item | Told]:
        self._leave(path)
        line = self.index.at(path)
        there = None if line is None else line.entry()
        if is_whiteout(node):
            if there is not None and places.cleaned(path) is None:
                yield Told(path, node, _gone(path))
            return
        fate = self.chooser.fate(path, node, there)
        if isinstance(fate, Left):
            yield Told(path, node, fate)
            return
        xattrs = own_xattrs(path, node, self.chooser.volume)
        bad = self._unfit(path, node, there)
        if bad is not None:
            if self.chooser.whose.paths and node.type != "d":
                raise bad.error()
            yield Told(path, node, Left(Reason(bad.kind), bad.path))
        elif node.type == "d":
            yield from self._folder(path, node, there, xattrs)
        elif node.type != "s" and (fate is not None or not self._is_seen(node, there, xattrs)):
            yield from self._goes(Own(path, node, fate.content if isinstance(fate, Altered) else None))
            if fate is not None:
                yield Told(path, node, fate)

    def refuse_unmet(self) -> None:
        for path in self.chooser.whose.paths:
            if path not in self.met:
                raise NotFound(
                    f"it has nothing of its own at /{printable_path(path)} that goes into a layer",
                    hint="`skinnybox changes` shows what it has; --dry-run without a path, what is left out",
                )

    def _leave(self, path: bytes) -> None:
        """What lies around it is around no more."""
        self.around = [item for item in self.around if is_below(path, item.path)]
        if self.hiding is not None and not is_below(path, self.hiding):
            self.hiding = None

    def _unfit(self, path: bytes, node: Node, there: Entry | None) -> Unfit | None:
        found = unfit.by_name(path)
        if found is not None:
            return found
        if node.type in "cb":
            return unfit.device(path)
        if self.hiding is None and there is not None and (there.type == "d") != (node.type == "d"):
            self.hiding = path
        return None if self.hiding is None else Unfit(self.hiding, Reason.HIDING.value, _HIDES, _OTHERWISE)

    def _folder(
        self, path: bytes, node: Node, there: Entry | None, xattrs: dict[str, bytes]
    ) -> Iterator[Item | Told]:
        """One of the stack's goes there as that has it."""
        if there is None:
            self.around.append(Own(path, node))
            if self._is_own(path, node):
                yield from self._goes(self.around.pop())
            return
        self.around.append(there)
        if path and xattrs.get(OPAQUE) == b"y":
            yield Told(path, node, Left(Reason.DELETION, path))
        elif path and not is_same(node, xattrs, there):
            yield Told(path, node, Left(Reason.FOLDER, path))

    def _is_own(self, path: bytes, node: Node) -> bool:
        """Not one on the way, nor one that the guest part makes for a seed's files: what is in it tells."""
        paths = self.chooser.whose.paths
        asked = not paths or any(_at(path, each) for each in paths)
        return asked and not self.chooser.brings_folder(path, node)

    def _goes(self, item: Item) -> Iterator[Item]:
        """After the folders it lies in."""
        yield from self.around
        self.around = []
        yield item
        self.met.update(each for each in self.chooser.whose.paths if _at(item.path, each))

    def _is_seen(self, node: Node, there: Entry | None, xattrs: dict[str, bytes]) -> bool:
        """Whether it is what the stack shows there: a copy that nobody altered."""
        if there is None or there.type != node.type:
            return False
        return is_as_stack(node, there, xattrs, self.reader)


def _gone(path: bytes) -> Left:
    """Of what was deleted: what is told of a whole database is told with the rest of it."""
    found = unfit.by_name(path)
    return Left(Reason.DELETION, path) if found is None else Left(Reason(found.kind), found.path)


def _at(path: bytes, place: bytes) -> bool:
    return path == place or is_below(path, place)
