"""Archives on our side of the confinement: who unpacks and who reads them is started here, and heard.

What is packed is unpacked by its own program, confined, into a pipe that a confined reader reads: we see
only answers, and a tar that was looked through. Nothing is as large as it says: the room is looked at while
it fills.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinnybox import run
from skinnybox.errors import CommandFailed, Corrupt, SkinnyboxError, TimedOut, Unsupported
from skinnybox.masters.disk_header import LARGEST
from skinnybox.masters.disk_parts import COMPLETE
from skinnybox.masters.plain_disk import PER_SECOND, need
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds, path_of
from skinnybox.sandbox.process import confined_source
from skinnybox.sandbox.reader import inquire, stream
from skinnybox.sizes import GIB, MIB

READER = "skinnybox.masters.archives.reader"
_PROGRAMS = {
    "gzip": ("gzip", "-dc"), "xz": ("xz", "-dc", "-T1"), "bzip2": ("bzip2", "-dc"),
    "zstd": ("zstd", "-dcq", "--single-thread"), "squashfs": ("sqfs2tar",),
}  # fmt: skip
_PACKAGES = {
    "gzip": "gzip",
    "xz": "xz-utils",
    "bzip2": "bzip2",
    "zstd": "zstd",
    "squashfs": "squashfs-tools-ng",
}
_BY_PATH = ("squashfs",)
"""What is not read from its beginning to its end, and so needs a file that it may open."""
_SOUND = (0, 2)
"""gzip says 2 of bytes behind the end, and all the same gave what there is."""
_THREADS = 8
_MEMORY = 2 * GIB
_MOST_ANSWERS = 1000
_LOOK = 16 * MIB
"""After so many bytes we look whether there still is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """Where some bytes are: in a file, packed so, or "". `source` is what is named when something is wrong
    with them; `left` archives may still be in each other; so many disks `beside` it are not read."""

    file: Path
    source: Path
    packing: str = ""
    left: int = 3
    beside: int = 0


@contextmanager
def reading(found: Bytes, work: Path) -> Iterator[tuple[int, Callable[[], None]]]:
    """A descriptor that gives what is in a file, from its beginning, unpacked; and what to call when all of
    it was read: Corrupt when it did not unpack to its end."""
    packing = found.packing
    with opened(found.file) as descriptor:
        if not packing:
            yield descriptor, lambda: None
            return
        if not run.find(_PROGRAMS[packing][0]):
            raise Unsupported(
                f"{found.source} is packed with {packing}, and {_PROGRAMS[packing][0]} is not installed",
                hint=f"install the package {_PACKAGES[packing]}",
            )
        with _unpacked(found, descriptor, _bounds(work)) as unpacked:
            yield unpacked


@contextmanager
def _unpacked(found: Bytes, descriptor: int, bounds: Bounds) -> Iterator[tuple[int, Callable[[], None]]]:
    words = _PROGRAMS[found.packing]
    by_path = found.packing in _BY_PATH
    with confined_source(
        [*words, path_of(descriptor)] if by_path else words,
        bounds=bounds,
        stdin=None if by_path else descriptor,
        owned=[descriptor] if by_path else (),
        ok=_SOUND if found.packing == "gzip" else (0,),
    ) as (pipe, ended):

        def checked() -> None:
            try:
                ended()
            except (CommandFailed, TimedOut) as error:
                raise Corrupt(f"{found.source} cannot be unpacked: {error.message}", hint=COMPLETE) from error

        yield pipe, checked


def _bounds(work: Path) -> Bounds:
    """More than there is room for is not unpacked, and that is what takes time."""
    seconds = 600 + shutil.disk_usage(work).free // PER_SECOND
    return Bounds(memory=_MEMORY, cpu_seconds=seconds, threads=_THREADS, output=LARGEST)


def asked(found: Bytes, work: Path, *words: str) -> list[Any]:
    """What the reader answers of what is in it."""
    with reading(found, work) as (descriptor, _):
        return answers_of(READER, found.source, [words[0], str(descriptor), *words[1:]], [descriptor], work)


def answers_of(
    reader: str, source: Path, arguments: list[str], descriptors: list[int], work: Path
) -> list[Any]:
    with inquire(
        reader, arguments, subject=str(source), bounds=_bounds(work), pass_fds=descriptors
    ) as answers:
        return [value for _, value in zip(range(_MOST_ANSWERS), answers, strict=False)]


def into_file(
    found: Bytes,
    target: Path,
    operation: Operation,
    limit: int,
    words: Sequence[str],
    *,
    reader: str = READER,
) -> dict[str, Any]:
    """Have the reader write what `words` say into a new file, holes and all; its last answer. The file is as
    long as that says, and no longer than `limit`. Raises NoSpace, Corrupt."""
    with ExitStack() as undo:
        descriptor, ended = undo.enter_context(reading(found, target.parent))
        file = undo.enter_context(target.open("x+b", buffering=0))
        bounds = _bounds(target.parent)
        bounds = Bounds(memory=GIB, cpu_seconds=bounds.cpu_seconds, file_size=limit)
        what, *rest = words
        answers = undo.enter_context(
            inquire(
                reader,
                [what, str(descriptor), *rest, str(file.fileno()), str(limit)],
                subject=str(found.source),
                bounds=bounds,
                pass_fds=[descriptor, file.fileno()],
            )
        )
        last: dict[str, Any] = {}
        for value in answers:
            last = value if isinstance(value, dict) else {}
            operation.step(
                task="unpack", done=target.stat().st_blocks * 512, unit="bytes", detail=found.source.name
            )
            need(target.parent, 0)
        ended()
        size = last.get("size")
        if type(size) is not int or not 0 <= size <= limit:
            raise improper(found.source)
        file.truncate(size)
    return last


def tar_in(found: Bytes, work: Path, *words: str) -> Iterator[bytes]:
    """The tar that the reader makes of it, in pieces. Raises NoSpace before the disk is full."""
    with reading(found, work) as (descriptor, ended):
        arguments = [words[0], str(descriptor), *words[1:]]
        yield from piped(found.source, arguments, [descriptor], work)
        ended()


def piped(source: Path, arguments: list[str], descriptors: list[int], work: Path) -> Iterator[bytes]:
    since = 0
    with stream(READER, arguments, subject=str(source), bounds=_bounds(work), pass_fds=descriptors) as pieces:
        for piece in pieces:
            yield piece
            since += len(piece)
            if since >= _LOOK:
                since = 0
                need(work, 0)


def improper(source: Path) -> SkinnyboxError:
    return Corrupt(f"{source}: its reader gave no proper answer", hint=COMPLETE)
