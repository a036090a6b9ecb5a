"""Whether the lines of an index, one after the other, are those of trees that a disk can have.

Held are the folders around the last one; of inodes with several names what all of them have to say.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from skinnybox.delta.archive.form import KEPT_FLAGS, MOST_LINE, TREES, Line, Tree, line_of, line_text
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.upper import sort_key
from skinnybox.errors import Corrupt

TREE = {tree.name: (number, tree) for number, tree in enumerate(TREES)}
Key = tuple[int, bytes]
_MOST_LINKS = 65_000
"""Names of one inode: what ext4 has."""


def key_of(tree: str, path: bytes) -> Key:
    """Sorts as an archive does."""
    return TREE[tree][0], sort_key(path)


@dataclass(slots=True)
class Structure:
    """`around` are the numbers of the folders that the last line is in, its own last where it is one."""

    number: int = -1
    around: list[int] = field(default_factory=list)
    _paths: list[bytes] = field(default_factory=list)
    _last: Key = (-1, b"")

    def see(self, line: Line) -> int | None:
        """The number of the folder that it is in; None for the top of a tree. Corrupt."""
        self.number += 1
        key = key_of(line.tree, line.path)
        if key <= self._last or line.flags & ~KEPT_FLAGS:
            raise _improper(line, "twice, or not in its place")
        is_top = key[0] != self._last[0]
        self._last = key
        if is_top:
            self.around.clear()
            self._paths.clear()
        while self._paths and not is_below(line.path, self._paths[-1]):
            self._paths.pop()
            self.around.pop()
        self._check_folder(line, is_top=is_top)
        inside = self.around[-1] if self.around else None
        if line.type == "d":
            self.around.append(self.number)
            self._paths.append(line.path)
        return inside

    def _check_folder(self, line: Line, *, is_top: bool) -> None:
        if is_top:
            if line.path or line.type != "d":
                raise _improper(line, "without the folder that its tree begins with")
        elif not self._paths or line.path.rpartition(b"/")[0] != self._paths[-1]:
            raise _improper(line, "in what is no folder")


@dataclass(slots=True)
class Links:
    """Inodes with several names, by the first: what its line has to be, and how many others there are."""

    _of: dict[tuple[str, bytes], tuple[bytes, int]] = field(default_factory=dict)

    def note(self, line: Line) -> None:
        """Of each line, before any is checked. Corrupt for two names of one inode that differ."""
        if line.link is None:
            return
        place = line.tree, line.link
        told = _brief(replace(line, path=line.link, link=None))
        known, count = self._of.get(place, (told, 0))
        first = sort_key(line.link) < sort_key(line.path)
        if known != told or not first or line.type == "d" or count >= _MOST_LINKS:
            raise _improper(line, "another than the inode whose name it is")
        self._of[place] = known, count + 1

    def check(self, line: Line) -> None:
        """Of each line, in their order: Corrupt where the first name is another thing."""
        if line.link is None:
            known = self._of.pop((line.tree, line.path), None)
            if known is not None and known[0] != _brief(line):
                raise _improper(line, "another than its other names")

    def end(self) -> None:
        """Corrupt where there is no first name."""
        for (tree, path), _ in self._of.items():
            raise Corrupt(f"its index has a further name of what it has not: {tree}/{path!r:.100}")


def lines_in(file: BinaryIO) -> Iterator[Line]:
    """From its beginning. Corrupt."""
    file.seek(0)
    while text := file.readline(MOST_LINE + 1):
        yield line_of(text)


def _brief(line: Line) -> bytes:
    return hashlib.blake2b(line_text(line), digest_size=16).digest()


def tree_of(line: Line) -> Tree:
    return TREE[line.tree][1]


def _improper(line: Line, why: str) -> Corrupt:
    return Corrupt(f"its index has {line.tree}/{line.path!r:.100} {why}")
