"""Where the system of a tree is read from: the tree itself, or its sealed image (see image)."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from skinnybox.masters import inside
from skinnybox.printable import printable

_MOST_TROUBLE = 20


class Source(Protocol):
    """Paths have no leading slash, and are text as in the index: UTF-8 whatever the locale, other bytes as
    lone surrogates. No symlink is followed. What is not there, or not of that kind, is empty."""

    def names(self, folder: str) -> list[str]:
        """Sorted."""
        ...

    def links(self, folder: str) -> dict[str, str]:
        """The symlinks in it, and what they say."""
        ...

    def read(self, path: str, limit: int) -> bytes | None: ...


class Tree:
    """A tree of ours that nobody writes to."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def names(self, folder: str) -> list[str]:
        return sorted(map(_told, inside.names(self._tree, _local(folder))))

    def links(self, folder: str) -> dict[str, str]:
        found = inside.links(self._tree, _local(folder))
        return {_told(name): _told(target) for name, target in found.items()}

    def read(self, path: str, limit: int) -> bytes | None:
        return inside.read(self._tree, _local(path), limit)


def text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _local(path: str) -> str:
    """As the system's functions take these bytes, whatever the locale."""
    return os.fsdecode(bytes_of(path))


def _told(name: str) -> str:
    return text_of(os.fsencode(name))


class Notes:
    """What could not be understood: so many, and no more, since a hostile tree has no end of it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def add(self, line: str) -> None:
        if len(self.told) < _MOST_TROUBLE and line not in self.told:
            self.told.append(printable(line)[:300])


def content(source: Source, path: str, limit: int, notes: Notes) -> bytes | None:
    """All of a file; of one that is longer nothing, and a note."""
    found = source.read(path, limit + 1)
    if found is not None and len(found) > limit:
        notes.add(f"{path} is longer than {limit} bytes, and was not read")
        return None
    return found


def lines(found: bytes | None) -> Iterator[str]:
    """One at a time: a list of millions of empty ones takes a hundred times what they say."""
    for line in io.BytesIO(found or b""):
        yield text_of(line.rstrip(b"\n"))
