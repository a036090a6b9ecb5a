"""A private copy of what is to be sealed, from a disk image that somebody else made.

Nothing here looks at the image's bytes: confined processes do, and each of their answers is checked. What
comes out of them is a tar, extracted like any other.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox.errors import Corrupt
from skinnybox.masters import mount_units, namespace
from skinnybox.masters.disk_parts import (
    FILESYSTEMS,
    QUICK,
    READER,
    DiskPart,
    flawed,
    improper,
    parts_of,
    root_of,
    separate_boot,
)
from skinnybox.masters.disk_sources import locator
from skinnybox.masters.filesystem_table import LONGEST, Tables, parsed
from skinnybox.masters.mount_points import emptied, rewrite
from skinnybox.masters.mounts import Brought, Locate, decide
from skinnybox.masters.plain_disk import PER_SECOND, check_source, need, plain_disk
from skinnybox.masters.tree import extracted
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from skinnybox.overlays.journal import copied, replay
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import inquire, stream
from skinnybox.sizes import GIB

_APPARENT = (4, 16 * GIB)
"""What all files together may claim to hold, for each byte of the disk, and beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Volume:
    """A part that may be read as the truth: where it lies, and how it is called in messages."""

    file: Path
    start: int
    part: DiskPart
    subject: str


def unpacked_disk(
    source: Path,
    work: Path,
    operation: Operation,
    *,
    format: str | None,
    partition: int | None,
    devices: bool,
    leave_out: Sequence[str] = (),
    taken: Path | None = None,
    beside: int = 0,
) -> tuple[Path, Brought]:
    """Extract the root filesystem of a disk image to `work`/tree, losing nothing. The source is only read.

    `format` is one of FORMATS, told by the header when None. The root is the ext4 volume with an os-release;
    what its fstab mounts is put in its place, but for what is to be left out (see mounts). `taken` is a
    private file of ours with the image, when that was inside of the source, which has so many disks `beside`
    it. Raises Unsupported for other filesystems, by name; UsageError when several could be meant; Corrupt;
    NoSpace.
    """
    namespace.require_root()
    check_source(source, format)
    tree = work / "tree"
    with plain_disk(source, work, format, operation, taken) as (disk, size):
        parts = parts_of(disk, size, source)
        root = root_of(parts, partition, source)
        with _volume(disk, root, work, source) as volume:
            tables = _tables(volume)
            locate = locator(tables, parts, root, beside)
            plan = decide(tables, locate, leave_out, str(source))
            _extract(volume, work, tree, operation, source, devices=devices)
        said = {*plan.brought.placed, *plan.brought.left_out}
        boot = None if "/boot" in said else separate_boot(parts, root, tree)
        places = (*plan.parts, *([("/boot", boot)] if boot else []))
        for place, part in places:
            operation.step(task="disk", detail=f"{part.name} to {place}")
            _put(disk, part, tree, place, work, operation, source)
    rewrite(tree, plan)
    told = _told(plan.brought, tables, locate, parts, [("/", root), *places])
    return tree, replace(told, left_out=(*told.left_out, *_further(beside)))


def _put(
    disk: Path, part: DiskPart, tree: Path, place: str, work: Path, operation: Operation, source: Path
) -> None:
    with emptied(tree, place, work / "hidden") as folder, _volume(disk, part, work, source) as volume:
        _extract(volume, work, folder, operation, source, devices=True)


def _further(disks: int) -> Iterator[str]:
    if disks:
        yield f"{disks} more {'disk' if disks == 1 else 'disks'}"


def _told(
    brought: Brought,
    tables: Tables,
    locate: Locate,
    parts: Sequence[DiskPart],
    places: Sequence[tuple[str, DiskPart]],
) -> Brought:
    """With what else is on the disk: no line names it, or one that mounts nothing at boot."""
    known = {part.number for _, part in places}
    known |= {
        found.part.number
        for entry in tables.entries
        if entry.place in brought.left_out and (found := locate(entry)).part
    }
    others = (part.name for part in parts if part.holds in FILESYSTEMS and part.number not in known)
    return Brought(
        placed=tuple(sorted(place for place, _ in places if place != "/")),
        left_out=(*brought.left_out, *others),
    )


@contextmanager
def _volume(disk: Path, part: DiskPart, work: Path, source: Path) -> Iterator[_Volume]:
    subject = f"{source}, {part.name}" if part.number else str(source)
    if part.flaw and (part.clean or part.unknown):
        raise flawed(part, subject)
    with _clean(disk, part, work, subject) as (file, start):
        yield _Volume(file=file, start=start, part=part, subject=subject)


def _tables(volume: _Volume) -> Tables:
    """What the system on it mounts."""
    most = 2 + 2 * mount_units.MOST
    with opened(volume.file) as descriptor:
        words = [str(descriptor), "tables", str(volume.start), str(volume.part.length)]
        with inquire(READER, words, subject=volume.subject, bounds=QUICK, pass_fds=[descriptor]) as answers:
            found = [value for _, value in zip(range(most + 1), answers, strict=False)]
    names = found[2::2]
    try:
        fstab, crypttab, *units = (base64.b64decode(text, validate=True) for text in found[:2] + found[3::2])
    except (TypeError, ValueError) as error:
        raise improper(Path(volume.subject)) from error
    texts = (fstab, crypttab, *units)
    if len(found) > most or len(names) != len(units) or not all(mount_units.is_name(name) for name in names):
        raise improper(Path(volume.subject))
    if max(len(text) for text in texts) > LONGEST:
        raise improper(Path(volume.subject))
    return parsed(fstab, crypttab, list(zip(names, units, strict=True)))


def _extract(
    volume: _Volume, work: Path, tree: Path, operation: Operation, source: Path, *, devices: bool
) -> None:
    length = volume.part.length
    bounds = Bounds(cpu_seconds=300 + 2 * length // PER_SECOND, output=2 * length + GIB, files=16)
    need(work, volume.part.used)
    with opened(volume.file) as descriptor:
        apparent = _APPARENT[0] * length + _APPARENT[1]
        words = [str(descriptor), "tar", str(volume.start), str(length), str(apparent)]
        with stream(READER, words, subject=volume.subject, bounds=bounds, pass_fds=[descriptor]) as pieces:
            extracted(pieces, tree, source, operation, devices=devices)


@contextmanager
def _clean(disk: Path, part: DiskPart, work: Path, subject: str) -> Iterator[tuple[Path, int]]:
    """The file and offset where the volume may be read as the truth: its own copy if it was not clean."""
    if part.clean:
        yield disk, part.start
        return
    copy = work / "volume.raw"
    need(work, part.used)
    copied(disk, copy, part.start, part.length)
    try:
        replay(copy)
    except Corrupt as error:
        raise Corrupt(
            f"{subject}: {error.message}", hint="shut the machine down, and copy its disk again"
        ) from error
    yield copy, 0
    copy.unlink()
