"""The changes of a disk that a guest wrote to, listed by a confined process and checked value by value."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skinnybox.delta.seed_marks import SEED_PATHS, marked
from skinnybox.delta.upper_disk import differences
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
    from_seed: Iterable[bytes] = SEED_PATHS,
) -> Iterator[Iterator[Change]]:
    """All that upper_disk.differences tells of a clean disk (see settled) and a sealed index, both files.

    Changes to `from_seed` are marked "seed", or left out. The iteration raises Corrupt, also for a disk made
    to hurt. Left early, the reader is stopped.
    """
    with opened(disk) as device, opened(index) as entries:
        bounds = Bounds(cpu_seconds=300 + os.fstat(device).st_size // _HASHED_PER_SECOND, output=1 << 40)
        words = [str(device), str(entries), "quick" if quick else "whole"]
        with inquire(
            __name__, words, subject=str(disk), bounds=bounds, pass_fds=[device, entries]
        ) as answers:
            yield marked(map(_checked, answers), from_seed, include_seed=include_seed)


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    device, entries, how = arguments
    answer(_told(int(device), int(entries), quick=how == "quick"))


def _told(device: int, entries: int, *, quick: bool) -> Iterator[list[Any]]:
    with open(entries, "rb") as source:
        for change in differences(open_descriptor(device), read_index(source), quick=quick):
            path, detail = os.fsdecode(change.path), change.detail[:_DETAIL_LIMIT]
            yield [change.kind.value, change.type, change.size, path, detail]


def _checked(value: Any) -> Change:
    try:
        kind, letter, size, path, detail = value
        raw = path.encode("utf-8", "surrogateescape")
        if not (
            letter in _TYPES
            and type(size) is int
            and 0 <= size < _LARGEST
            and len(raw) < _PATH_LIMIT
            and b"\0" not in raw
            and type(detail) is str
            and len(detail) <= _DETAIL_LIMIT
        ):
            raise ValueError(f"not a change: {value!r:.80}")
        return Change(path=raw, kind=_KINDS[kind], type=letter, size=size, detail=detail)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("the reader of the disk gave no proper answer") from error
