"""A plain disk out of a disk image of whatever format: the image itself, or a private sparse copy converted.

Nothing here looks at the image's bytes: confined processes do, and each of their answers is checked.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skinnybox.errors import (
    CommandFailed,
    Corrupt,
    NoSpace,
    NotFound,
    SkinnyboxError,
    TimedOut,
    UsageError,
)
from skinnybox.masters.disk_header import FORMATS, LARGEST
from skinnybox.masters.disk_parts import COMPLETE, QUICK, READER, improper
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from skinnybox.overlays.journal import copied
from skinnybox.sandbox.confinement import Bounds, path_of
from skinnybox.sandbox.process import confined
from skinnybox.sandbox.reader import ask
from skinnybox.sizes import MIB, format_size

PER_SECOND = 10 * MIB
"""Bytes that the slowest machine reads, copies or unpacks in a second of processor time."""

_DRIVERS = {"qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vdi": "vdi", "vhdx": "vhdx"}
_CHECKED = ("qcow2", "vmdk", "vdi", "vhdx")
"""What `qemu-img check` knows how to check."""
_SOUND = (0, 3)
"""Its exit codes for an image without a fault, and for one that only wastes room."""
_UNSOUND = 2
_THREADS, _ADDRESSES = 128, 4 << 30
"""Of qemu-img: where the disk is slow it has 64 threads, each with a stack and an arena, which are mostly no
memory but addresses; with a GiB of those it was seen to abort."""
_SPARE = 256 * MIB
"""Bytes always left free for the machines that run meanwhile."""
_TABLES = 64
"""Of an image's bytes one in so many may be of its tables, which are read before it is copied."""
_FULL = "No space left on device"


def check_source(source: Path, format: str | None) -> None:
    """Raises NotFound, UsageError."""
    if not source.exists():
        raise NotFound(f"{source} does not exist")
    if not source.is_file():
        raise UsageError(f"{source} is not a file: no disk image")
    if format is not None and format not in FORMATS:
        raise UsageError(f"{format} is no format of disk images", hint=f"known are {', '.join(FORMATS)}")


@contextmanager
def plain_disk(
    source: Path, work: Path, format: str | None, operation: Operation, taken: Path | None = None
) -> Iterator[tuple[Path, int]]:
    """The image as a plain disk: a file, and how much of it counts. Converted to a private one if it must.

    Whatever goes on behind the end of its file is Corrupt before a byte of what is on it is read. `taken` is
    where its bytes are when that is a private file of ours already: it is gone afterwards."""
    operation.step(task="disk", detail=source.name)
    kind, size, plain = _header(taken or source, format, source)
    if plain:
        yield taken or source, size
    else:
        # A copy: what is converted is what was checked, and a dropped user may open it.
        copy, disk = taken or work / "source", work / "disk.raw"
        if taken is None:
            taken_out(source, copy, operation)
        kind, size, _ = _header(copy, kind, source)
        _check(copy, kind, operation, source)
        _convert(copy, disk, kind, size, operation, source)
        copy.unlink()
        yield disk, size
        disk.unlink()
    if taken is not None:
        taken.unlink(missing_ok=True)


def taken_out(source: Path, copy: Path, operation: Operation) -> None:
    """Copy it to a private file, saying how far that is. Raises NoSpace."""

    def attend() -> None:
        operation.step(task="copy", done=copy.stat().st_blocks * 512, unit="bytes", detail=source.name)

    need(copy.parent, source.stat().st_blocks * 512)
    copied(source, copy, attend=attend)


def need(work: Path, size: int) -> None:
    """Raises NoSpace when so much more does not go below the folder, with some to spare."""
    free = shutil.disk_usage(work).free
    if free < size + _SPARE:
        raise NoSpace(
            f"{format_size(size + _SPARE)} are needed below {work.parent}, and {format_size(free)} are free",
            hint="free some space there, or put the state folder elsewhere (SKINNYBOX_STATE)",
        )


def _header(file: Path, format: str | None, source: Path) -> tuple[str, int, bool]:
    worth = file.stat().st_size // _TABLES // PER_SECOND
    with opened(file) as descriptor:
        found = ask(
            READER,
            [str(descriptor), "header", format or ""],
            subject=str(source),
            bounds=Bounds(memory=QUICK.memory, cpu_seconds=QUICK.cpu_seconds + worth),
            pass_fds=[descriptor],
        )
    match found:
        case {"format": str(kind), "size": int(size), "plain": bool(plain)}:
            if kind in FORMATS and 0 < size <= LARGEST and not (plain and size > file.stat().st_size):
                return kind, size, plain
    raise improper(source)


def _check(copy: Path, kind: str, operation: Operation, source: Path) -> None:
    """Have QEMU look for references that cross or lead nowhere. Raises Corrupt."""
    if kind not in _CHECKED:
        return
    with copy.open("rb", buffering=0) as image:
        try:
            confined(
                ["qemu-img", "check", "-q", "-f", _DRIVERS[kind], path_of(image.fileno())],
                memory=_ADDRESSES,
                cpu_seconds=QUICK.cpu_seconds + copy.stat().st_size // PER_SECOND,
                threads=_THREADS,
                ok=_SOUND,
                owned=[image.fileno()],
                watch=lambda: operation.step(task="check", detail=source.name),
            )
        except (CommandFailed, TimedOut) as error:
            unsound = isinstance(error, CommandFailed) and error.returncode == _UNSOUND
            raise Corrupt(
                f"{source} is damaged: {error.message}",
                hint="`qemu-img check -r all` mends what can be mended, on a copy" if unsound else COMPLETE,
            ) from error


def _convert(copy: Path, disk: Path, kind: str, size: int, operation: Operation, source: Path) -> None:
    """With QEMU's own reader of the format, into a sparse file."""

    def watch() -> None:
        operation.step(task="convert", done=disk.stat().st_blocks * 512, unit="bytes", detail=source.name)
        need(disk.parent, 0)

    worth = min(size, shutil.disk_usage(copy.parent).free + copy.stat().st_size)
    with copy.open("rb", buffering=0) as image, disk.open("x+b", buffering=0) as target:
        target.truncate(size)
        words = ["-n", "--target-is-zero", "-T", "none", "-f", _DRIVERS[kind], "-O", "raw"]
        try:
            confined(
                ["qemu-img", "convert", *words, path_of(image.fileno()), path_of(target.fileno())],
                memory=_ADDRESSES,
                cpu_seconds=300 + worth // PER_SECOND,
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
    return Corrupt(f"{source} cannot be converted: {error.message}", hint=COMPLETE)
