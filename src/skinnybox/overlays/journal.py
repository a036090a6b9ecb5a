"""A consistent view of an overlay whose machine did not shut down cleanly. The overlay is not touched."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from skinnybox.errors import CommandFailed, Corrupt, TimedOut, of_system
from skinnybox.overlays import inspect, space
from skinnybox.overlays.e2fsprogs import on_disk

_CHUNK = 64 << 20
_BUFFER = 1 << 20
_CPU_SECONDS = 120
_CORRECTED = (0, 1)
_HINT = "reset gives the machine a fresh overlay; what it wrote is lost then"
_CANNOT_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


@contextlib.contextmanager
def replayed(path: Path, *, scratch: Path | None = None) -> Iterator[Path]:
    """A path to an image that may be read as the truth: the overlay, or a copy with its journal replayed.

    The copy lies in a private folder in `scratch` (beside the overlay when None), takes as much space as was
    written to the overlay, and is gone after the block. The caller holds the lock. Raises NoSpace; Corrupt
    when e2fsck cannot mend it.
    """
    if inspect.is_clean(path):
        yield path
        return
    with replayed_copy(path, scratch=scratch) as copy:
        yield copy


@contextlib.contextmanager
def replayed_copy(path: Path, *, scratch: Path | None = None) -> Iterator[Path]:
    """The same of an overlay that is known not to be clean."""
    with tempfile.TemporaryDirectory(dir=scratch or path.parent, prefix=".settle-") as folder:
        copy = Path(folder, "overlay.img")
        copied(path, copy)
        try:
            replay(copy)
        except Corrupt as error:
            raise Corrupt(f"{path}: {error.message}", hint=_HINT) from error
        yield copy


def replay(disk: Path) -> None:
    """Make a private disk of ours, that somebody else wrote, clean: its journal and orphans, when that is
    enough; else everything e2fsck would ask about. Raises Corrupt when it cannot be mended."""
    with disk.open("r+b", buffering=0) as file:
        try:
            _e2fsck("-p", file.fileno())
        except (CommandFailed, TimedOut):
            try:
                _e2fsck("-fy", file.fileno())
            except (CommandFailed, TimedOut) as error:
                raise Corrupt(f"it is damaged beyond repair: {error.message}") from error
    if not inspect.is_clean(disk):
        raise Corrupt("it is damaged beyond repair")


def _e2fsck(how: str, descriptor: int) -> None:
    on_disk(descriptor, "e2fsck", how, cpu_seconds=_CPU_SECONDS, ok=_CORRECTED)


def copied(
    path: Path,
    copy: Path,
    start: int = 0,
    length: int | None = None,
    *,
    attend: Callable[[], None] | None = None,
) -> None:
    """Copy a disk, or `length` bytes of it from `start`, to a new file. The holes stay holes; where the
    filesystem can, the rest is shared instead of copied. `attend` is called now and then; what it raises ends
    it. Raises NoSpace."""
    size = (path.stat().st_size - start) if length is None else length
    try:
        with path.open("rb", buffering=0) as source, copy.open("xb", buffering=0) as target:
            target.truncate(size)
            for first, last in space.data_ranges(source.fileno()):
                first, last = max(first, start), min(last, start + size)
                _copy_range(source.fileno(), target.fileno(), first, last, start, attend)
    except OSError as error:
        if space.is_out_of_space(error):
            raise space.out_of_space(size) from error
        raise of_system(error, str(path)) from error


def _copy_range(
    source: int, target: int, start: int, end: int, shift: int, attend: Callable[[], None] | None
) -> None:
    while start < end:
        if attend is not None:
            attend()
        try:
            done = os.copy_file_range(source, target, min(_CHUNK, end - start), start, start - shift)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
            done = os.pwrite(target, os.pread(source, min(_BUFFER, end - start), start), start - shift)
        if not done:
            return
        start += done
