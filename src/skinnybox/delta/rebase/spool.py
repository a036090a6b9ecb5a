"""What is decided about paths, kept outside of memory until all is known, and then gone through in order.

A path that hides what is below it is decided when all of that went by: late, and those in their turn are in
order among themselves. So two files are enough.
"""

import heapq
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from skinnybox.delta.rebase.values import Fate, FileClass
from skinnybox.delta.upper import sort_key
from skinnybox.errors import Corrupt
from skinnybox.masters.system.source import bytes_of

_LONGEST = 1 << 15


@dataclass(frozen=True, slots=True)
class Said:
    """One decision about a path."""

    kind: FileClass
    fate: Fate


class Spool:
    def __init__(self, early: BinaryIO, late: BinaryIO) -> None:
        self._files = early, late
        self._last: list[bytes | None] = [None, None]

    def add(self, name: str, kind: str, fate: Fate) -> None:
        """In the order in which they are decided."""
        key = sort_key(bytes_of(name))
        which = 0 if self._last[0] is None or key > self._last[0] else 1
        last = self._last[which]
        if last is not None and key < last:
            raise Corrupt(f"what is decided is not in order at {name!r}")
        self._last[which] = key
        self._files[which].write(json.dumps([name, kind, fate]).encode() + b"\n")

    def by_path(self) -> Iterator[tuple[bytes, list[Said]]]:
        """In canonical order; of one path as it was added. Nothing is added afterwards."""
        read = (_read(file) for file in self._files)
        every = heapq.merge(*read, key=lambda item: sort_key(item[0]))
        for path, found in itertools.groupby(every, key=lambda item: item[0]):
            yield path, [said for _, said in found]


def _read(file: BinaryIO) -> Iterator[tuple[bytes, Said]]:
    file.flush()
    file.seek(0)
    while line := file.readline(_LONGEST):
        name, kind, fate = json.loads(line)
        yield bytes_of(name), Said(FileClass(kind), Fate(fate))
