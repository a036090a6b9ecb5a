"""Space on the host: really reserved or not at all."""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.errors import NoSpace, Unsupported
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from ctypes import CDLL

    from skinnybox.model import Allocation

_COPY_ON_WRITE = {0x9123683E: "btrfs", 0x2FC12FC1: "zfs", 0xCA451A4E: "bcachefs", 0x3434: "nilfs2"}
_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV)
_STATFS_LENGTH = 256
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 0x1, 0x2, 0x10
_HINT = "--sparse makes an overlay without the promise, or choose another filesystem (ext4, XFS)"

_FIEMAP = 0xC020660B
_FIEMAP_HEAD = struct.Struct("=QQIIII")
_FIEMAP_EXTENT = struct.Struct("=QQQQQIIII")
_FIEMAP_BATCH = 128
_LAST, _SHARED = 0x1, 0x2000


@cache
def _libc() -> "CDLL":
    import ctypes  # what is sparse needs none of it

    return ctypes.CDLL(None, use_errno=True)


def _fallocate(descriptor: int, mode: int, start: int, length: int) -> int:
    """Zero, or the number of an error."""
    from ctypes import c_int, c_int64, get_errno

    call = _libc().fallocate64 if hasattr(_libc(), "fallocate64") else _libc().fallocate
    failed = call(c_int(descriptor), c_int(mode), c_int64(start), c_int64(length))
    return get_errno() if failed else 0


def reserve(descriptor: int, size: int) -> None:
    """Allocate the first `size` bytes of a file for good; those that were not there read as zeros.

    Raises NoSpace, or Unsupported where the filesystem cannot keep such a promise. Never falls back to
    writing, as posix_fallocate does: on a store that copies on write that would promise nothing.
    """
    copying = _COPY_ON_WRITE.get(filesystem_type(descriptor))
    if copying:
        raise Unsupported(f"{copying} cannot reserve space: it copies on write", hint=_HINT)
    while code := _fallocate(descriptor, 0, 0, size):
        if code == errno.EINTR:
            continue
        if code in _OUT_OF_SPACE:
            raise out_of_space(size)
        if code in _CANNOT:
            raise Unsupported("this filesystem cannot reserve space", hint=_HINT)
        raise OSError(code, os.strerror(code))


def make_blank(path: Path, size: int, allocation: "Allocation") -> None:
    """A new private file that reads as zeros. FileExistsError; NoSpace or Unsupported, with nothing left."""
    from skinnybox.model import Allocation  # confined readers need this module, but not that one

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if allocation is Allocation.RESERVED:
            require(path.parent, size, "the new overlay")
            reserve(descriptor, size)
        os.truncate(descriptor, size)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def punch(descriptor: int, start: int, length: int) -> bool:
    """Give back the blocks of a range, which then reads as zeros; False where the filesystem cannot."""
    return not _fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, start, length)


def zero(descriptor: int, length: int) -> bool:
    """Make the first bytes read as zeros, and keep their blocks; False where the filesystem cannot."""
    return not _fallocate(descriptor, _ZERO_RANGE, 0, length)


def require(folder: Path, need: int, what: str) -> None:
    """NoSpace when fewer than `need` bytes are free where `folder` lies."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if need > free:
        raise NoSpace(
            f"{what} needs {format_size(need)}; {format_size(free)} are free",
            hint="`skinnybox capacity` shows what is promised and what is free",
        )


def filesystem_type(descriptor: int) -> int:
    """The magic number of statfs(2) for the filesystem an open file lies on."""
    import ctypes

    buffer = ctypes.create_string_buffer(_STATFS_LENGTH)
    if _libc().fstatfs(descriptor, buffer):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(ctypes.c_long.from_buffer(buffer).value) & 0xFFFFFFFF


def out_of_space(size: int) -> NoSpace:
    return NoSpace(
        f"there is no room for an overlay of {format_size(size)}",
        hint="`skinnybox capacity` shows what is promised and what is free",
    )


def is_out_of_space(error: OSError) -> bool:
    return error.errno in _OUT_OF_SPACE


def data_ranges(descriptor: int) -> Iterator[tuple[int, int]]:
    """(start, end) of what a file holds besides holes, in bytes."""
    position = 0
    while True:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, position


def has_shared_extents(descriptor: int) -> bool:
    """Whether another file owns some of the blocks too, so that writing here would need new ones.

    False also where the filesystem cannot tell: what cannot map extents cannot share them.
    """
    start = 0
    while True:
        request = bytearray(_FIEMAP_HEAD.size + _FIEMAP_BATCH * _FIEMAP_EXTENT.size)
        _FIEMAP_HEAD.pack_into(request, 0, start, (1 << 64) - 1 - start, 0, 0, _FIEMAP_BATCH, 0)
        try:
            fcntl.ioctl(descriptor, _FIEMAP, request)
        except OSError:
            return False
        count = _FIEMAP_HEAD.unpack_from(request)[3]
        for number in range(count):
            at = _FIEMAP_HEAD.size + number * _FIEMAP_EXTENT.size
            logical, _, length, _, _, flags, *_ = _FIEMAP_EXTENT.unpack_from(request, at)
            if flags & _SHARED:
                return True
            start = logical + length
            if flags & _LAST:
                return False
        if not count:
            return False
