"""What a stack shows: the indexes of a master and of its layers as one, as overlayfs puts their trees
together. Neither is held in memory."""

import gzip
import heapq
import shutil
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from skinnybox.masters.index import Line, read_lines

_QUICK = 1
"""Of gzip: what is read once need not be small."""


def stacked(indexes: Sequence[Path]) -> Iterator[tuple[int, Line]]:
    """Each path once, in canonical order, and the number of the index it is of: the master's is 0, later ones
    lie above it. Layers hide nothing by marks of overlayfs (see unfit). Raises Corrupt."""
    numbered = [_numbered(number, index) for number, index in enumerate(indexes)]
    hidden: list[tuple[bytes, int]] = []  # below such a folder nothing is seen of this number, nor of lower
    for key, group in groupby(heapq.merge(*numbered, key=itemgetter(0, 1)), key=itemgetter(0)):
        while hidden and not key.startswith(hidden[-1][0]):
            hidden.pop()
        floor = hidden[-1][1] if hidden else -1
        seen = [(-minus, line) for _, minus, line in group if -minus > floor]
        if not seen:
            continue
        yield seen[0]
        cut = next((number for number, line in seen if not line.is_folder()), None)
        if cut is not None:
            hidden.append((key + b"\0", cut))


def _numbered(number: int, index: Path) -> Iterator[tuple[bytes, int, Line]]:
    """The topmost of the same path comes first."""
    for line in read_lines(index):
        yield line.path.replace(b"/", b"\0"), -number, line


def write_stacked(indexes: Sequence[Path], file: BinaryIO) -> None:
    """The same as an index of its own, to an empty file."""
    with gzip.GzipFile("", "wb", _QUICK, file, mtime=0) as out:
        for _, line in stacked(indexes):
            out.write(line.raw)
    file.flush()


def write_index_of(indexes: Sequence[Path], file: BinaryIO) -> None:
    """The index of a stack, its master's first; as it lies there where that is all of it."""
    if len(indexes) > 1:
        write_stacked(indexes, file)
        return
    with indexes[0].open("rb") as source:
        shutil.copyfileobj(source, file)
    file.flush()
