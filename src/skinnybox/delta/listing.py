"""The changes of a disk that a guest wrote to, listed by a confined process and checked value by value."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinnybox.delta import leading
from skinnybox.delta.as_seeded import Expected, decode, encode
from skinnybox.delta.handing import handed
from skinnybox.delta.seed_marks import marked
from skinnybox.delta.settled import refuse_unsettled
from skinnybox.delta.telling import change_checked, change_told, facts_checked, facts_told
from skinnybox.delta.upper_disk import NOTHING, differences
from skinnybox.delta.whose import NOBODYS, of_machine
from skinnybox.ext4 import open_descriptor
from skinnybox.masters.index import read_index
from skinnybox.model import Change, ChangeKind, Look
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

_HASHED_PER_SECOND = 20 << 20
"""Bytes: slow machines hash ten times as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Files of a master: its index; its image, and what is kept of its system, where groups are asked for."""

    index: Path
    image: Path | None = None
    system: Path | None = None


@contextmanager
def listed(
    disk: Path,
    index: Path,
    *,
    quick: bool = False,
    include_seed: bool = True,
    expected: Expected = NOTHING,
) -> Iterator[Iterator[Change]]:
    """The changes of `looked`, by paths alone."""
    with looked(
        disk, Sealed(index=index), quick=quick, include_seed=include_seed, expected=expected
    ) as found:
        yield found.changes


@contextmanager
def looked(
    disk: Path,
    sealed: Sealed,
    *,
    quick: bool = False,
    include_seed: bool = True,
    include_same: bool = False,
    expected: Expected = NOTHING,
    paths: Sequence[bytes] = (),
) -> Iterator[Look]:
    """All that upper_disk.differences tells of a disk and a sealed index, both files; with the master's image
    also what its packages, accounts and services tell, and where `paths` lead there.

    What is as `expected` is marked "seed", or left out; what else is at such a path says so. Raises Unsettled
    for a disk whose journal is to be replayed first: to ask before would take a process of its own, and most
    disks are clean. Entering and the iteration raise Corrupt, also for a disk made to hurt. Left early, the
    reader is stopped.
    """
    with ExitStack() as held:
        device, entries = held.enter_context(opened(disk)), held.enter_context(opened(sealed.index))
        seed = held.enter_context(handed(encode(expected)))
        asked = held.enter_context(handed(leading.to_text(paths)))
        more = [
            held.enter_context(opened(file)) for file in (sealed.image, sealed.system) if file is not None
        ]
        files = [device, entries, seed, asked, *more]
        bounds = Bounds(
            memory=2 << 30, cpu_seconds=300 + os.fstat(device).st_size // _HASHED_PER_SECOND, output=1 << 40
        )
        words = [*map(str, files), "quick" if quick else "whole"]
        answers = held.enter_context(
            inquire(__name__, words, subject=str(disk), bounds=bounds, pass_fds=files)
        )
        refuse_unsettled(answers, disk)
        facts = tuple(facts_checked(answers))
        lying = tuple(leading.seen_checked(answers, len(paths)))
        found = marked(map(change_checked, answers), include_seed=include_seed)
        if not include_same:
            found = (change for change in found if change.kind is not ChangeKind.SAME)
        yield Look(facts=facts, changes=found, paths=lying)


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    *files, how = arguments
    answer(_told(list(map(int, files)), quick=how == "quick"))


def _told(files: list[int], *, quick: bool) -> Iterator[bool | list[Any] | str | None]:
    device, entries, seed, asked, *more = files
    with os.fdopen(seed, "rb") as told:
        expected = decode(told.read())
    volume = open_descriptor(device)
    yield volume.superblock.clean
    if not volume.superblock.clean:
        return
    found = of_machine(volume, *more) if more else NOBODYS
    yield from facts_told(found.facts)
    yield from leading.seen_told(leading.of_text(asked), volume, more[0] if more else -1)
    with os.fdopen(entries, "rb") as source:
        index = read_index(source)
        for change, is_seeds in differences(volume, index, quick=quick, expected=expected, whose=found):
            yield change_told(change, is_seeds)
