"""A consistent view of an overlay whose machine did not shut down cleanly. The overlay is not touched."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, Corrupt, SkinnyboxError
from skinnybox.overlays import space
from skinnybox.overlays.ext4 import open_volume

_CHUNK = 64 << 20
_BUFFER = 1 << 20
_CPU_SECONDS = 120
_CORRECTED = (0, 1)
_CANNOT_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


@contextlib.contextmanager
def settled(path: Path, *, scratch: Path | None = None) -> Iterator[Path]:
    """A path to an image that may be read as the truth: the overlay, or a copy with its journal replayed.

    The copy lies in a private folder in `scratch` (beside the overlay when None), takes as much space as was
    written to the overlay, and is gone after the block. The caller holds the lock. Raises NoSpace; Corrupt
    when e2fsck cannot mend it.
    """
    if _is_clean(path):
        yield path
        return
    with tempfile.TemporaryDirectory(dir=scratch or path.parent, prefix=".settle-") as folder:
        copy = Path(folder, "overlay.img")
        _copy(path, copy)
        _repair(path, copy)
        yield copy


def _is_clean(path: Path) -> bool:
    with open_volume(path) as volume:
        return volume.superblock.clean


def _repair(path: Path, copy: Path) -> None:
    """Journal and orphans only, when that is enough; else everything e2fsck would ask about."""
    try:
        _e2fsck("-p", copy)
    except CommandFailed:
        try:
            _e2fsck("-fy", copy)
        except CommandFailed as error:
            raise Corrupt(f"{path} is damaged beyond repair: {error.message}") from error
    if not _is_clean(copy):
        raise Corrupt(f"{path} is damaged beyond repair")


def _e2fsck(how: str, copy: Path) -> None:
    run.confined(
        ["e2fsck", how, copy], cpu_seconds=_CPU_SECONDS, file_size=copy.stat().st_size, ok=_CORRECTED
    )


def _copy(path: Path, copy: Path) -> None:
    """The holes stay holes; where the filesystem can, the rest is shared instead of copied."""
    size = path.stat().st_size
    try:
        with path.open("rb", buffering=0) as source, copy.open("xb", buffering=0) as target:
            target.truncate(size)
            for start, end in space.data_ranges(source.fileno()):
                _copy_range(source.fileno(), target.fileno(), start, end)
    except OSError as error:
        if space.is_out_of_space(error):
            raise space.out_of_space(size) from error
        raise SkinnyboxError(f"{path} cannot be copied: {error.strerror}") from error


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        try:
            done = os.copy_file_range(source, target, min(_CHUNK, end - start), start, start)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
            done = os.pwrite(target, os.pread(source, min(_BUFFER, end - start), start), start)
        if not done:
            return
        start += done
