"""The changes of a disk that a guest wrote to, listed by a confined process and checked value by value."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skinnybox.delta.as_seeded import Expected, decode, encode
from skinnybox.delta.handing import handed
from skinnybox.delta.seed_marks import marked
from skinnybox.delta.settled import NO_ANSWER, refuse_unsettled
from skinnybox.delta.upper_disk import NOTHING, differences
from skinnybox.errors import Corrupt
from skinnybox.ext4 import open_descriptor
from skinnybox.masters.index import read_index
from skinnybox.model import Change, ChangeKind
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

_TYPES = frozenset("-dlcbps")
_KINDS = {str(kind): kind for kind in ChangeKind}
_DETAIL_LIMIT = 1000
_PATH_LIMIT = 4096
_LARGEST = 1 << 63
_HASHED_PER_SECOND = 20 << 20
"""Bytes: slow machines hash ten times as much."""


@contextmanager
def listed(
    disk: Path,
    index: Path,
    *,
    quick: bool = False,
    include_seed: bool = True,
    expected: Expected = NOTHING,
) -> Iterator[Iterator[Change]]:
    """All that upper_disk.differences tells of a disk and a sealed index, both files.

    What is as `expected` is marked "seed", or left out; what else is at such a path says so. Raises Unsettled
    for a disk whose journal is to be replayed first: to ask before would take a process of its own, and most
    disks are clean. Entering and the iteration raise Corrupt, also for a disk made to hurt. Left early, the
    reader is stopped.
    """
    with opened(disk) as device, opened(index) as entries, handed(encode(expected)) as seed:
        bounds = Bounds(cpu_seconds=300 + os.fstat(device).st_size // _HASHED_PER_SECOND, output=1 << 40)
        words = [str(device), str(entries), str(seed), "quick" if quick else "whole"]
        with inquire(
            __name__, words, subject=str(disk), bounds=bounds, pass_fds=[device, entries, seed]
        ) as answers:
            refuse_unsettled(answers, disk)
            yield marked(map(_checked, answers), include_seed=include_seed)


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    device, entries, seed, how = arguments
    with os.fdopen(int(seed), "rb") as told:
        expected = decode(told.read())
    answer(_told(int(device), int(entries), expected, quick=how == "quick"))


def _told(device: int, entries: int, expected: Expected, *, quick: bool) -> Iterator[bool | list[Any]]:
    volume = open_descriptor(device)
    yield volume.superblock.clean
    if not volume.superblock.clean:
        return
    with open(entries, "rb") as source:
        index = read_index(source)
        for change, is_seeds in differences(volume, index, quick=quick, expected=expected):
            path, detail = os.fsdecode(change.path), change.detail[:_DETAIL_LIMIT]
            yield [change.kind.value, change.type, change.size, path, detail, is_seeds]


def _checked(value: Any) -> tuple[Change, bool | None]:
    try:
        kind, letter, size, path, detail, is_seeds = value
        raw = path.encode("utf-8", "surrogateescape")
        if not (
            letter in _TYPES
            and type(size) is int
            and 0 <= size < _LARGEST
            and len(raw) < _PATH_LIMIT
            and b"\0" not in raw
            and type(detail) is str
            and len(detail) <= _DETAIL_LIMIT
            and (is_seeds is None or type(is_seeds) is bool)
        ):
            raise ValueError(f"not a change: {value!r:.80}")
        return Change(path=raw, kind=_KINDS[kind], type=letter, size=size, detail=detail), is_seeds
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(NO_ANSWER) from error
