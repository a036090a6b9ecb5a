"""The upper directory and both indexes, each in canonical order, gone through together. None is held."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from skinnybox.delta.join import UpperNode, sort_key
from skinnybox.errors import Corrupt
from skinnybox.masters.index import Entry

N = TypeVar("N", bound=UpperNode)


class Lower(Protocol):
    """A line of an index: see masters.index.Line."""

    @property
    def path(self) -> bytes: ...
    def entry(self) -> Entry: ...


L = TypeVar("L", bound=Lower)


@dataclass(frozen=True, slots=True)
class Place(Generic[N, L]):
    """What each side has at one path."""

    path: bytes
    upper: N | None
    old: L | None
    new: L | None


def places(upper: Iterable[tuple[bytes, N]], old: Iterable[L], new: Iterable[L]) -> Iterator[Place[N, L]]:
    """Every path of any of them, in canonical order. Raises Corrupt for a side out of order."""
    machine = _Head("the upper directory", upper)
    olds = _Head("the old master's index", ((line.path, line) for line in old))
    news = _Head("the new master's index", ((line.path, line) for line in new))
    while True:
        keys = [head.key for head in (machine, olds, news) if head.item is not None]
        if not keys:
            return
        key = min(keys)
        path = next(head.path for head in (machine, olds, news) if head.item is not None and head.key == key)
        yield Place(path, machine.take(key), olds.take(key), news.take(key))


T = TypeVar("T")


class _Head(Generic[T]):
    def __init__(self, what: str, items: Iterable[tuple[bytes, T]]) -> None:
        self._what = what
        self._items = iter(items)
        self.path, self.key = b"", b""
        self.item: T | None = None
        self._advance(first=True)

    def take(self, key: bytes) -> T | None:
        if self.item is None or self.key != key:
            return None
        found = self.item
        self._advance()
        return found

    def _advance(self, *, first: bool = False) -> None:
        found = next(self._items, None)
        if found is None:
            self.item = None
            return
        self.path, self.item = found
        key = sort_key(self.path)
        if not first and key <= self.key:
            raise Corrupt(f"{self._what} is not in order at {self.path!r}")
        self.key = key


def is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder + b"/") if folder else bool(path)
