"""Files whose names somebody gave us, or that lie in a folder somebody may write to: opened so that nothing
waits, and read only so far.

A FIFO blocks whoever opens it until somebody writes, a device may do something when it is opened, and
/proc/kmsg or /dev/zero never end. So a file is looked at before it is opened, and again when it is open;
O_NONBLOCK is for what took its place in between. What is wrong is an OSError with a text for people in its
`strerror`, as of every other file that cannot be read: NotAFile.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from skinnybox.errors import NotAFile, UsageError

_MIB = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def opened(path: Path) -> BufferedReader:
    """A regular file, at its beginning. OSError for everything else."""
    _check(path, path.stat())
    descriptor = os.open(path, _FLAGS)
    try:
        _check(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def content(path: Path, most: int) -> bytes:
    """All of it. OSError, too, when that is more than `most` bytes."""
    found = head(path, most + 1)
    if len(found) > most:
        size = f"{most // _MIB} MiB" if most >= _MIB else f"{most} bytes"
        raise NotAFile(errno.EFBIG, f"larger than {size}", str(path))
    return found


def head(path: Path, length: int) -> bytes:
    """Its first bytes, or all when it has fewer."""
    found = bytearray()
    with opened(path) as file:
        while len(found) < length:
            piece = file.read(length - len(found))
            if piece is None:  # it is regular by name only, as /proc/kmsg
                raise NotAFile(errno.EINVAL, "waits for somebody to write to it", str(path))
            if not piece:
                break
            found += piece
    return bytes(found)


def expanded(path: str | Path) -> Path:
    """With the home of a `~`. UsageError when nobody knows it: a uid without an account has none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{path}: no home is known for `~`", hint="write the path in full, or set HOME"
        ) from error


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise NotAFile(errno.EINVAL, "not a regular file", str(path))
