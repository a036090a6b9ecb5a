"""The upper directory and both indexes, each in canonical order, gone through together. None is held."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from skinnybox.delta.upper import UpperNode, sort_key
from skinnybox.errors import Corrupt
from skinnybox.masters.index import Entry

N = TypeVar("N", bound=UpperNode)


class Lower(Protocol):
    """A line of an index: see masters.index.Line."""

    @property
    def path(self) -> bytes: ...
    def entry(self) -> Entry: ...


L = TypeVar("L", bound=Lower)
L_out = TypeVar("L_out", bound=Lower, covariant=True)


class Index(Protocol[L_out]):
    """Of a master, by path: see masters.lookup."""

    def at(self, path: bytes) -> L_out | None: ...
    def below(self, folder: bytes) -> Iterator[L_out]: ...


@dataclass(frozen=True, slots=True)
class Place(Generic[N, L]):
    """What each side has at one path."""

    path: bytes
    upper: N | None
    old: L | None
    new: L | None


def places(
    upper: Iterable[tuple[bytes, N]],
    old: Index[L],
    new: Index[L],
    also: Iterable[bytes] = (),
    opened: Callable[[], bytes | None] = lambda: None,
) -> Iterator[Place[N, L]]:
    """Every path of the machine's and of `also`, in canonical order; and below a path that `opened` names
    after that went by, every path of any side. So what it takes follows from what the machine has, and not
    from how large masters are. Raises Corrupt for a side out of order."""
    machine = Head("the upper directory", upper)
    others = Head("what else is looked at", ((path, path) for path in also))
    olds, news = _InOrder(old), _InOrder(new)
    while left := [(head.key, head.path) for head in (machine, others) if head.item is not None]:
        key, path = min(left)
        others.take(key)
        yield Place(path, machine.take(key), olds.at(path), news.at(path))
        if opened() == path:
            yield from _below(path, machine, old, new)
            while others.item is not None and is_below(others.path, path):
                others.take(others.key)


class _InOrder(Generic[L]):
    """An index that is asked in canonical order: below what it has not it has nothing, and machines have
    whole trees of their own."""

    def __init__(self, index: Index[L]) -> None:
        self._index = index
        self._absent: bytes | None = None

    def at(self, path: bytes) -> L | None:
        if self._absent is not None and is_below(path, self._absent):
            return None
        found = self._index.at(path)
        self._absent = path if found is None else None
        return found


def _below(folder: bytes, machine: "Head[N]", old: Index[L], new: Index[L]) -> Iterator[Place[N, L]]:
    olds = Head("the old master's index", ((line.path, line) for line in old.below(folder)))
    news = Head("the new master's index", ((line.path, line) for line in new.below(folder)))
    while True:
        left = [(head.key, head.path) for head in (olds, news) if head.item is not None]
        if machine.item is not None and is_below(machine.path, folder):
            left.append((machine.key, machine.path))
        if not left:
            return
        key, path = min(left)
        yield Place(path, machine.take(key), olds.take(key), news.take(key))


T = TypeVar("T")
U = TypeVar("U")


def both(
    one: Iterable[tuple[bytes, T]], other: Iterable[tuple[bytes, U]]
) -> Iterator[tuple[bytes, T | None, U | None]]:
    """Every path of either, in canonical order. Raises Corrupt for a side out of order."""
    first, second = Head("a side", one), Head("a side", other)
    while first.item is not None or second.item is not None:
        is_first = second.item is None or (first.item is not None and first.key <= second.key)
        path, key = (first.path, first.key) if is_first else (second.path, second.key)
        yield path, first.take(key), second.take(key)


class Head(Generic[T]):
    """Where a sorted stream is: its next item, with its path; None at its end."""

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
