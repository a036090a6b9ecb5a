"""A private copy of what is to be sealed, from a disk image that somebody else made.

Nothing here looks at the image's bytes: confined processes do, and each of their answers is checked. What
comes out of them is a tar, extracted like any other.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinnybox.errors import (
    CommandFailed,
    Corrupt,
    NoSpace,
    NotFound,
    SkinnyboxError,
    TimedOut,
    Unsupported,
    UsageError,
)
from skinnybox.masters import inside, namespace
from skinnybox.masters.disk_header import FORMATS, LARGEST
from skinnybox.masters.partitions import KINDS, MOST
from skinnybox.masters.tree import extracted
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from skinnybox.overlays.journal import copied, replay
from skinnybox.sandbox.confinement import Bounds, path_of
from skinnybox.sandbox.process import confined
from skinnybox.sandbox.reader import ask, inquire, stream
from skinnybox.sizes import GIB, MIB, format_size

_READER = "skinnybox.masters.disk_reader"
_DRIVERS = {"qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc"}
_QUICK = Bounds(memory=512 * MIB, cpu_seconds=60)
_PER_SECOND = 10 * MIB
"""Bytes that the slowest machine reads, copies or unpacks in a second of processor time."""

_THREADS, _ADDRESSES = 128, 4 << 30
"""Of qemu-img: where the disk is slow it has 64 threads, each with a stack and an arena, which are mostly no
memory but addresses; with a GiB of those it was seen to abort."""
_SPARE = 256 * MIB
"""Bytes always left free for the machines that run meanwhile."""

_APPARENT = (4, 16 * GIB)
"""What all files together may claim to hold, for each byte of the disk, and beyond."""

_ELSEWHERE = ("LVM", "btrfs", "xfs", "LUKS", "RAID", "bcache", "F2FS", "EROFS", "squashfs", "NTFS")
_FULL = "No space left on device"
_COMPLETE = "is the image complete, and was its machine shut down when it was copied?"
_TAR = (
    "make a tar in the running system, and import that: "
    "tar --one-file-system --xattrs --acls --numeric-owner -cf root.tar -C / ."
)


_KERNEL = re.compile(r"vmlinu[zx]-")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPart:
    """A stretch of a disk, as its confined reader tells. `system` is whether it has an os-release, `kernel`
    whether it has one at its top; `flaw` is why an ext4 volume cannot be read, if so."""

    number: int
    start: int
    length: int
    holds: str
    clean: bool = False
    used: int = 0
    system: bool = False
    kernel: bool = False
    flaw: str = ""

    @property
    def name(self) -> str:
        return f"partition {self.number}" if self.number else "the disk"


def unpacked_disk(
    source: Path,
    work: Path,
    operation: Operation,
    *,
    format: str | None,
    partition: int | None,
    devices: bool,
) -> Path:
    """Extract the root filesystem of a disk image to `work`/tree, losing nothing. The source is only read.

    `format` is one of FORMATS, told by the header when None. The root is the ext4 volume with an os-release;
    a /boot of its own is put into it. Raises Unsupported for other filesystems, by name; UsageError when
    several could be meant; Corrupt; NoSpace.
    """
    namespace.require_root()
    _check_source(source, format)
    tree = work / "tree"
    with _plain(source, work, format, operation) as (disk, size):
        parts = _parts(disk, size, source)
        root = _root(parts, partition, source)
        _extract(disk, root, work, tree, operation, source, devices=devices)
        boot = _separate_boot(parts, root, tree)
        if boot:
            _extract(disk, boot, work, tree / "boot", operation, source, devices=devices)
    return tree


def _check_source(source: Path, format: str | None) -> None:
    if not source.exists():
        raise NotFound(f"{source} does not exist")
    if not source.is_file():
        raise UsageError(f"{source} is not a file: no disk image")
    if format is not None and format not in FORMATS:
        raise UsageError(f"{format} is no format of disk images", hint=f"known are {', '.join(FORMATS)}")


@contextmanager
def _plain(source: Path, work: Path, format: str | None, operation: Operation) -> Iterator[tuple[Path, int]]:
    """The image as a plain disk: a file, and how much of it counts. Converted to a private one if it must."""
    operation.step(task="disk", detail=source.name)
    kind, size, plain = _header(source, format, source)
    if plain:
        yield source, size
        return
    # A copy: what is converted is what was checked, and a dropped user may open it.
    copy, disk = work / "source", work / "disk.raw"
    _need(work, source.stat().st_blocks * 512)
    copied(source, copy)
    kind, size, _ = _header(copy, kind, source)
    _convert(copy, disk, kind, size, operation, source)
    copy.unlink()
    yield disk, size
    disk.unlink()


def _header(file: Path, format: str | None, source: Path) -> tuple[str, int, bool]:
    with opened(file) as descriptor:
        found = ask(
            _READER,
            [str(descriptor), "header", format or ""],
            subject=str(source),
            bounds=_QUICK,
            pass_fds=[descriptor],
        )
    match found:
        case {"format": str(kind), "size": int(size), "plain": bool(plain)}:
            if kind in FORMATS and 0 < size <= LARGEST and not (plain and size > file.stat().st_size):
                return kind, size, plain
    raise _improper(source)


def _convert(copy: Path, disk: Path, kind: str, size: int, operation: Operation, source: Path) -> None:
    """With QEMU's own reader of the format, into a sparse file."""

    def watch() -> None:
        operation.step(task="convert", done=disk.stat().st_blocks * 512, unit="bytes", detail=source.name)
        _need(disk.parent, 0)

    worth = min(size, shutil.disk_usage(copy.parent).free + copy.stat().st_size)
    with copy.open("rb", buffering=0) as image, disk.open("x+b", buffering=0) as target:
        target.truncate(size)
        words = ["-n", "--target-is-zero", "-T", "none", "-f", _DRIVERS[kind], "-O", "raw"]
        try:
            confined(
                ["qemu-img", "convert", *words, path_of(image.fileno()), path_of(target.fileno())],
                cpu_seconds=300 + worth // _PER_SECOND,
                file_size=size,
                threads=_THREADS,
                owned=[image.fileno(), target.fileno()],
                watch=watch,
            )
        except (CommandFailed, TimedOut) as error:
            raise _unconverted(error, source) from error


def _unconverted(error: CommandFailed | TimedOut, source: Path) -> SkinnyboxError:
    if isinstance(error, CommandFailed) and _FULL in error.stderr:
        return error
    return Corrupt(f"{source} cannot be converted: {error.message}", hint=_COMPLETE)


def _parts(disk: Path, size: int, source: Path) -> list[DiskPart]:
    with opened(disk) as descriptor:
        words = [str(descriptor), "places", str(size)]
        with inquire(_READER, words, subject=str(source), bounds=_QUICK, pass_fds=[descriptor]) as answers:
            found = [_part(value, size, source) for _, value in zip(range(MOST + 1), answers, strict=False)]
    if not 0 < len(found) <= MOST:
        raise _improper(source)
    return found


def _part(value: Any, size: int, source: Path) -> DiskPart:
    try:
        part = DiskPart(**value)
    except TypeError as error:
        raise _improper(source) from error
    numbers = (part.number, part.start, part.length, part.used)
    flags = (part.clean, part.system, part.kernel)
    if (
        all(type(number) is int and number >= 0 for number in numbers)
        and all(type(flag) is bool for flag in flags)
        and part.holds in KINDS
        and part.start + part.length <= size
        and type(part.flaw) is str
        and len(part.flaw) < 1000
    ):
        return part
    raise _improper(source)


def _root(parts: list[DiskPart], wanted: int | None, source: Path) -> DiskPart:
    if wanted is not None:
        return _wanted(parts, wanted, source)
    volumes = [part for part in parts if part.holds == "ext4"]
    # What cannot be read before its journal is replayed may be it, if nothing else is.
    found = [part for part in volumes if part.system] or [part for part in volumes if not part.clean]
    if len(found) > 1:
        names = ", ".join(str(part.number) for part in found)
        raise UsageError(f"{source} has systems on partitions {names}", hint="choose one with --partition")
    if found:
        return found[0]
    others = [part for part in parts if part.holds in _ELSEWHERE]
    if others:
        told = ", ".join(f"{part.name} holds {part.holds}" for part in others)
        raise Unsupported(f"{source}: {told}; only a root filesystem of ext4 can be read", hint=_TAR)
    flawed = next((part for part in volumes if part.flaw), None)
    if flawed:
        raise Corrupt(f"{source}, {flawed.name}: {flawed.flaw}", hint=_COMPLETE)
    told = ", ".join(f"{part.name} holds {part.holds or 'nothing that is known'}" for part in parts[:10])
    raise Unsupported(f"{source} has no ext4 volume with an operating system on it", hint=told)


def _wanted(parts: list[DiskPart], number: int, source: Path) -> DiskPart:
    found = next((part for part in parts if part.number == number), None)
    if found is None:
        there = ", ".join(str(part.number) for part in parts if part.number) or "none"
        raise NotFound(f"{source} has no partition {number}", hint=f"there are: {there}")
    if found.holds != "ext4":
        what = found.holds or "nothing that is known"
        raise Unsupported(f"{source}: partition {number} holds {what}; only ext4 can be read", hint=_TAR)
    return found


def _separate_boot(parts: list[DiskPart], root: DiskPart, tree: Path) -> DiskPart | None:
    """The volume that the system mounted at /boot, when its own /boot has no kernel."""
    if not inside.is_folder(tree, "boot") or any(_KERNEL.match(name) for name in inside.names(tree, "boot")):
        return None
    found = [part for part in parts if part.kernel and not part.system and part is not root]
    return found[0] if len(found) == 1 else None


def _extract(
    disk: Path, part: DiskPart, work: Path, tree: Path, operation: Operation, source: Path, *, devices: bool
) -> None:
    subject = f"{source}, {part.name}" if part.number else str(source)
    if part.flaw and part.clean:
        raise Corrupt(f"{subject}: {part.flaw}", hint=_COMPLETE)
    seconds = 300 + 2 * part.length // _PER_SECOND
    bounds = Bounds(cpu_seconds=seconds, output=2 * part.length + GIB, files=16)
    with _clean(disk, part, work, subject) as (volume, start):
        _need(work, part.used)
        with opened(volume) as descriptor:
            apparent = _APPARENT[0] * part.length + _APPARENT[1]
            words = [str(descriptor), "tar", str(start), str(part.length), str(apparent)]
            with stream(_READER, words, subject=subject, bounds=bounds, pass_fds=[descriptor]) as pieces:
                extracted(pieces, tree, source, operation, devices=devices)


@contextmanager
def _clean(disk: Path, part: DiskPart, work: Path, subject: str) -> Iterator[tuple[Path, int]]:
    """The file and offset where the volume may be read as the truth: its own copy if it was not clean."""
    if part.clean:
        yield disk, part.start
        return
    copy = work / "volume.raw"
    _need(work, part.used)
    copied(disk, copy, part.start, part.length)
    try:
        replay(copy)
    except Corrupt as error:
        raise Corrupt(
            f"{subject}: {error.message}", hint="shut the machine down, and copy its disk again"
        ) from error
    yield copy, 0
    copy.unlink()


def _need(work: Path, size: int) -> None:
    free = shutil.disk_usage(work).free
    if free < size + _SPARE:
        raise NoSpace(
            f"{format_size(size + _SPARE)} are needed below {work.parent}, and {format_size(free)} are free",
            hint="free some space there, or put the state folder elsewhere (SKINNYBOX_STATE)",
        )


def _improper(source: Path) -> Corrupt:
    return Corrupt(f"{source}: its reader gave no proper answer", hint=_COMPLETE)
