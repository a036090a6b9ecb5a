"""A tree of several sides, the topmost first, as overlayfs shows it with the options of the guest part; and
folders bound over it, as the guest part binds those of its data disk."""

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from skinnybox.delta.merged.sides import Empty, Side, Thing

MOST_LINKS = 40
"""On the way to one path, as the kernel has it."""
_MOST_PARTS = 1 << 14

Part = tuple[Side, Thing]
_MADE: Part = (Empty(), Empty.folder)


@dataclass(frozen=True, slots=True)
class Place:
    """What is seen at one path: the first of `parts`; of a folder also what lies below that and shines
    through. `path` is as the tree has it, without links and a leading slash."""

    path: bytes
    parts: tuple[Part, ...]

    @property
    def thing(self) -> Thing:
        return self.parts[0][1]

    @property
    def side(self) -> Side:
        return self.parts[0][0]


class Elsewhere(Exception):
    """A path leads to where something is bound that is not at hand."""


class Tree:
    """Raises what reading its sides does; Elsewhere."""

    def __init__(
        self, sides: Sequence[Part], bound: Mapping[bytes, Part], elsewhere: Collection[bytes] = ()
    ) -> None:
        """`sides` are folders; `bound` is seen at its paths, whatever the sides have there."""
        self._root = Place(b"", tuple(sides))
        self._bound, self._elsewhere = bound, frozenset(elsewhere)
        self._ways = {way for path in (*bound, *elsewhere) for way in _ways(path)}

    def find(self, path: bytes) -> Place | None:
        """Where it leads, by links and `..`, from the tree's root: never out of it. None: there is nothing,
        or links lead round."""
        way, parts, links = [self._root], deque(path.split(b"/")), 0
        while parts:
            part = parts.popleft()
            if part == b"..":
                way = way[:-1] or way
                continue
            if part in (b"", b"."):
                continue
            found = self.child(way[-1], part)
            if found is None:
                return None
            if not found.thing.is_link:
                way.append(found)
                continue
            target = found.side.target(found.thing)
            links += 1
            if links > MOST_LINKS or len(parts) > _MOST_PARTS:
                return None
            if target.startswith(b"/"):
                way = way[:1]
            parts.extendleft(reversed(target.split(b"/")))
        return way[-1]

    def child(self, folder: Place, name: bytes) -> Place | None:
        path = _joined(folder.path, name)
        if path in self._elsewhere:
            raise Elsewhere
        if path in self._bound:
            return Place(path, (self._bound[path],))
        if not folder.thing.is_folder:
            return None
        found = ((side, side.within(thing, name)) for side, thing in folder.parts)
        return self._made(path, _merged(path, ((side, thing) for side, thing in found if thing is not None)))

    def children(self, folder: Place) -> Iterator[tuple[bytes, Place]]:
        """By the bytes of their names."""
        for name, parts in groupby(heapq.merge(*self._listed(folder), key=_by_name), key=itemgetter(0)):
            path = _joined(folder.path, name)
            bound, merged = self._bound.get(path), _merged(path, (part for _, _, part in parts))
            found = Place(path, (bound,)) if bound else self._made(path, merged)
            if found is not None:
                yield name, found

    def _listed(self, folder: Place) -> Iterator[Iterator[tuple[bytes, int, Part]]]:
        for number, (side, thing) in enumerate(folder.parts):
            yield _of_side(number, side, thing)
        known = (path.rpartition(b"/") for path in {*self._bound, *self._ways})
        names = sorted(name for above, _, name in known if above == folder.path)
        yield ((name, len(folder.parts), _MADE) for name in names)

    def _made(self, path: bytes, found: Place | None) -> Place | None:
        """Where nothing is, and something is bound further down, there is a folder from the next start on."""
        return Place(path, (_MADE,)) if found is None and path in self._ways else found


def _ways(path: bytes) -> Iterator[bytes]:
    """The folders above it, but for the root."""
    while path := path.rpartition(b"/")[0]:
        yield path


def _of_side(number: int, side: Side, folder: Thing) -> Iterator[tuple[bytes, int, Part]]:
    for name, thing in side.children(folder):
        yield name, number, (side, thing)


def _by_name(found: tuple[bytes, int, Part]) -> tuple[bytes, int]:
    return found[:2]


def _merged(path: bytes, found: Iterable[Part]) -> Place | None:
    """Of what each side has there, the topmost first."""
    parts: list[Part] = []
    for side, thing in found:
        if thing.is_whiteout or (parts and not thing.is_folder):
            break
        parts.append((side, thing))
        if not thing.is_folder or side.hides(thing):
            break
    return Place(path, tuple(parts)) if parts else None


def _joined(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name
