"""Whether layers go together: no two of one machine have a folder and something else at the same path.

Overlayfs merges folders alone. A file or a symlink in one layer hides a folder of a lower one with all that
is in it, and a folder hides a file or a symlink: both without a word. (A file in place of a file is what a
later layer is for, and marks of overlayfs are in no layer: see unfit.)
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from operator import itemgetter
from pathlib import Path
from typing import NoReturn

from skinnybox.errors import Unsupported
from skinnybox.masters.index import Line, read_lines
from skinnybox.printable import printable_path


def refuse_apart(layers: Sequence[tuple[str, Path]]) -> None:
    """Unsupported, naming two of them and the path. `layers` are names and indexes, the lowest first."""
    if len(layers) < 2:
        return
    numbered = [_numbered(number, index) for number, (_, index) in enumerate(layers)]
    for _, group in groupby(heapq.merge(*numbered, key=itemgetter(0, 1)), key=itemgetter(0)):
        there = [(number, line) for _, number, line in group]
        for (low, below), (top, above) in combinations(there, 2):
            if below.is_folder() != above.is_folder():
                _refuse(layers[low][0], below, layers[top][0], above)


def _numbered(number: int, index: Path) -> Iterator[tuple[bytes, int, Line]]:
    for line in read_lines(index):
        yield line.path.replace(b"/", b"\0"), number, line


def _refuse(low: str, below: Line, top: str, above: Line) -> NoReturn:
    where = f"/{printable_path(below.path)}"
    hidden = "would hide that with all that is in it" if below.is_folder() else "would hide that"
    raise Unsupported(
        f"the layers {low} and {top} do not go together: {where} is {_what(below)} in {low}, and"
        f" {_what(above)} in {top}, which {hidden}",
        hint="name one of them, or import the tree of one again with that as the other has it",
    )


def _what(line: Line) -> str:
    if line.is_folder():
        return "a folder"
    entry = line.entry()
    if entry.type == "l":
        return f"a symlink to {printable_path(entry.target or b'')}"
    return "a file"
