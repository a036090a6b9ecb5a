"""What a machine made its own, as folders that can be opened: each with what is below it, counted and
summed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from skinnybox.model import Change, ChangeKind
from skinnybox.printable import printable_path

MOST = 100_000
"""Changes that are kept of one machine: a guest may make as many as its disk has room for."""
SHOWN = 500
"""Entries of one folder on a page."""


@dataclass(slots=True)
class Place:
    """One path. `path` is escaped so that its bytes can be got back, without a slash at either end; `change`
    None: a folder that only leads to others. `count` and `size` are of all changes at and below it."""

    name: str
    path: str
    change: Change | None = None
    below: dict[str, "Place"] = field(default_factory=dict)
    count: int = 0
    size: int = 0

    @property
    def is_folder(self) -> bool:
        return bool(self.below) or (self.change is not None and self.change.type == "d")

    @property
    def readable(self) -> bool:
        """Whether there are two versions, or one, that a person could look at."""
        change = self.change
        return change is not None and change.type in "-l" and change.kind is not ChangeKind.UNREAD

    def entries(self) -> list["Place"]:
        """Folders first."""
        return sorted(self.below.values(), key=lambda each: (not each.is_folder, each.name))[:SHOWN]

    @property
    def hidden(self) -> int:
        return max(0, len(self.below) - SHOWN)

    def trail(self) -> list[tuple[str, str]]:
        """The folders on the way to it, with it: names and paths."""
        parts = self.path.split("/") if self.path else []
        return [(part, "/".join(parts[: number + 1])) for number, part in enumerate(parts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """`kinds` counts the changes; `cut`: there are more than are kept."""

    root: Place
    kinds: dict[str, int]
    cut: bool

    def at(self, path: str) -> Place | None:
        place: Place | None = self.root
        for part in path.strip("/").split("/") if path.strip("/") else []:
            place = place.below.get(part) if place else None
        return place


def tree_of(changes: Iterable[Change], most: int = MOST) -> Tree:
    found, kinds = iter(changes), dict.fromkeys(map(str, ChangeKind), 0)
    root = Place(name="/", path="")
    for change in islice(found, most):
        kinds[str(change.kind)] += 1
        for place in _way(root, change.path):
            place.count += 1
            place.size += change.size
        place.change = change
    return Tree(root=root, kinds=kinds, cut=next(found, None) is not None)


def _way(root: Place, path: bytes) -> Iterator[Place]:
    """The root, the folders on the way, and the place itself; made where they are not there yet."""
    place = root
    yield place
    for raw in path.split(b"/") if path else []:
        name = printable_path(raw)
        if name not in place.below:
            place.below[name] = Place(name=name, path=f"{place.path}/{name}" if place.path else name)
        place = place.below[name]
        yield place
