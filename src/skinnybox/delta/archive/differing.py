"""Two indexes beside each other, and what of the newer one an archive stores. Nothing here touches a disk."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from skinnybox.delta.archive.form import MOST_LINE, TREES, Line, line_of
from skinnybox.delta.upper import sort_key
from skinnybox.errors import Corrupt

_ORDER = {tree.name: number for number, tree in enumerate(TREES)}
Key = tuple[int, bytes]


def key_of(line: Line) -> Key:
    """Sorts as an archive does."""
    return _ORDER[line.tree], sort_key(line.path)


def differing(earlier: BinaryIO, newer: BinaryIO) -> Iterator[tuple[int, Line]]:
    """The lines of `newer`, with their numbers, that `earlier` has not, or otherwise. Corrupt for an earlier
    one that is out of order."""
    old = _Earlier(earlier)
    for number, text in enumerate(newer):
        if text == old.text:
            old.advance()
            continue
        line = line_of(text)
        key = key_of(line)
        while old.key is not None and old.key < key:
            old.advance()
        same = text == old.text
        if old.key == key:
            old.advance()
        if not same:
            yield number, line


class _Earlier:
    """Where that is: its next line, b"" at its end; only read closely when that differs."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._key: Key | None = None
        self._before: Key | None = None
        self.text = source.readline(MOST_LINE)

    def advance(self) -> None:
        self._before = self._key or self._before
        self.text, self._key = self._source.readline(MOST_LINE), None

    @property
    def key(self) -> Key | None:
        if self.text and self._key is None:
            self._key = key_of(line_of(self.text))
            if self._before is not None and self._key <= self._before:
                raise Corrupt("the index of the earlier archive is out of order")
        return self._key


class Stored:
    """Which names an archive stores: those that differ, and all of an inode of which one does."""

    def __init__(self, differing: Iterable[tuple[int, Line]]) -> None:
        self._numbers = bytearray()
        self._groups = set[tuple[str, bytes]]()
        for number, line in differing:
            self._mark(number)
            if line.link is not None:
                self._groups.add((line.tree, line.link))

    def has(self, number: int, line: Line) -> bool:
        byte, bit = divmod(number, 8)
        if byte < len(self._numbers) and self._numbers[byte] >> bit & 1:
            return True
        first = line.path if line.link is None else line.link
        return bool(self._groups) and (line.tree, first) in self._groups

    def _mark(self, number: int) -> None:
        byte, bit = divmod(number, 8)
        if byte >= len(self._numbers):
            self._numbers += bytes(byte + 1 - len(self._numbers))
        self._numbers[byte] |= 1 << bit
