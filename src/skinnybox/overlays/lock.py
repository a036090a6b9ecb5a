"""One writer per overlay, across processes.

The lock belongs to the open file description (OFD): whoever inherits the descriptor holds it too, and the
kernel drops it when the last of them is gone, however they died.
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from skinnybox.errors import Conflict, NotFound, of_system

PRIVATE_BYTE = 1 << 60
"""Far from any data and from the bytes that QEMU locks."""

_FLOCK = struct.Struct("hhqqi4x")
_TAKEN = (errno.EAGAIN, errno.EACCES)
_TRIES = 5
# QEMU: a read lock on 100+n says "I do n", on 200+n "nobody else may do n"; n is 0 to 4
_QEMU_FIRST, _QEMU_LENGTH, _QEMU_RANGES = 100, 104, ((100, 5), (200, 5))
_HINT = "stop the machine, or wait for the command that uses it"


def acquire(path: Path) -> int:
    """Open an overlay read-write and lock it; the caller owns the descriptor, and with it the lock.

    Does not wait. Conflict when it is taken, NotFound when there is no such file. What is locked is what
    `path` names at that moment: a file replaced meanwhile is let go and the new one taken.
    """
    for _ in range(_TRIES):
        descriptor = _opened(path)
        try:
            _lock(descriptor, fcntl.F_WRLCK, PRIVATE_BYTE, 1, path)
            if _still_there(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise Conflict(f"{path} keeps being replaced", hint="another command works on it: try again")


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Nobody else works on the overlay in the block, a QEMU started by hand included; yields a descriptor.

    Raises as `acquire` does.
    """
    descriptor = acquire(path)
    try:
        against_qemu(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def against_qemu(descriptor: int, path: Path) -> None:
    """Keep every QEMU from opening the file until the descriptor is closed; Conflict when one has it open.

    Not for a machine's own start: its QEMU sets these bytes itself.
    """
    for first, length in _QEMU_RANGES:
        _lock(descriptor, fcntl.F_RDLCK, first, length, path)
    if _others_hold(descriptor, _QEMU_FIRST, _QEMU_LENGTH):
        _lock(descriptor, fcntl.F_UNLCK, _QEMU_FIRST, _QEMU_LENGTH, path)
        raise Conflict(f"{path} is open in a QEMU that Skinnybox did not start", hint="end that QEMU first")


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such overlay") from error
    except OSError as error:
        raise of_system(error, str(path)) from error


def _lock(descriptor: int, kind: int, start: int, length: int, path: Path) -> None:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
    except OSError as error:
        if error.errno in _TAKEN:
            raise Conflict(f"{path} is in use", hint=_HINT) from error
        raise of_system(error, str(path)) from error


def _others_hold(descriptor: int, start: int, length: int) -> bool:
    request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, request)
    return int(_FLOCK.unpack(answer)[0]) != fcntl.F_UNLCK


def _still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
