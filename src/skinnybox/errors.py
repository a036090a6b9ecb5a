"""Every error Skinnybox raises on purpose.

    SkinnyboxError            exit 1   HTTP 500
    +-- UsageError                 2        400   the caller asked for something malformed
    +-- NotFound                   3        404
    +-- Conflict                   4        409   it exists, is in use, or is in the wrong condition
    |   +-- Blocked                5        409   refused to protect data
    |   +-- Outdated               4        412   somebody changed it since the caller looked
    +-- Unsupported                6        501   this host or machine cannot do it
    +-- NotStarted                 6        501   what reads strangers' bytes could not be shut in
    +-- NoSpace                    7        507
    +-- Corrupt                    1        500   bytes are not what was sealed or written
    |   +-- NoArchive              1        422   what the caller gave is damaged, or no archive at all
    +-- GuestFailed                1        502   the guest said no, or died
    |   +-- NotReached             1        502   ssh did not come through to it, or not to the end
    +-- TimedOut                   1        504
    +-- Cancelled                130        499   nobody wants it any more; never told as a timeout
    +-- CommandFailed              1        500   a program we started failed
    +-- CannotWrite                1        500   our own output has no room, or no reader any more

A message says what is wrong with which thing; a hint says what to do about it. An exception outside this
tree is a bug of ours (exit 70).
"""

import errno
import os


class SkinnyboxError(Exception):
    """Base of the tree: catch this to catch all that Skinnybox raises on purpose."""

    exit_code = 1
    http_status = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SkinnyboxError):
    exit_code = 2
    http_status = 400


class NotFound(SkinnyboxError):
    exit_code = 3
    http_status = 404


class Conflict(SkinnyboxError):
    exit_code = 4
    http_status = 409


class Blocked(Conflict):
    exit_code = 5


class Outdated(Conflict):
    http_status = 412


class Unsupported(SkinnyboxError):
    exit_code = 6
    http_status = 501


class NotStarted(SkinnyboxError):
    """A confined program never began: it is missing, or its confinement could not be set up. That says
    nothing about what it was to read."""

    exit_code = 6
    http_status = 501


class NoSpace(SkinnyboxError):
    exit_code = 7
    http_status = 507


class Corrupt(SkinnyboxError):
    pass


class NoArchive(Corrupt):
    http_status = 422


class GuestFailed(SkinnyboxError):
    http_status = 502


class NotReached(GuestFailed):
    pass


class TimedOut(SkinnyboxError):
    http_status = 504


class Cancelled(SkinnyboxError):
    exit_code = 130
    http_status = 499


class CommandFailed(SkinnyboxError):
    """A program ended badly. `stderr` is the tail of what it said; `returncode` is negative for a signal."""

    def __init__(
        self, message: str, *, returncode: int = 1, stderr: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.returncode = returncode
        self.stderr = stderr


class CannotWrite(SkinnyboxError):
    """Says nothing of the disk below the state folder."""


_CAPACITY = (
    "`skinnybox capacity` shows what is promised and what is free; `df -i`, whether there are inodes left"
)
_DISK = "the disk or its cable may be failing: `dmesg` says more; copy away what is dear"
_READ_ONLY = "after an error a kernel makes a filesystem read-only (`dmesg`); else: mount -o remount,rw"
_RIGHTS = "another user's, perhaps of a command with sudo: use the same user, or give it back with chown"
_SHAPE = "something else lies where Skinnybox keeps this: `skinnybox repair --dry-run` names it"
_LIMITS = "a limit of this process or machine: `ulimit -a`, `free`"

_OF_SYSTEM: dict[int, tuple[type[SkinnyboxError], str, str]] = {
    errno.ENOSPC: (NoSpace, "the disk is full", _CAPACITY),
    errno.EDQUOT: (NoSpace, "the quota is used up", "`quota -s` shows it; make room, or have it raised"),
    errno.EFBIG: (NoSpace, "no file may be so large there", "`ulimit -f`; FAT has a limit of its own, 4G"),
    errno.EROFS: (SkinnyboxError, "the filesystem is read-only", _READ_ONLY),
    errno.EIO: (SkinnyboxError, "the disk cannot be read or written (EIO)", _DISK),
    errno.EUCLEAN: (SkinnyboxError, "the filesystem is damaged (EUCLEAN)", "unmount it, and run fsck"),
    errno.ESTALE: (SkinnyboxError, "the file server does not know it any more (ESTALE)", "mount it again"),
    errno.ENODEV: (SkinnyboxError, "there is no such device any more", _DISK),
    errno.ENXIO: (SkinnyboxError, "there is no such device any more", _DISK),
    errno.ENOTCONN: (SkinnyboxError, "the filesystem's own process is gone", "mount it again"),
    errno.EACCES: (SkinnyboxError, "Permission denied", _RIGHTS),
    errno.EPERM: (SkinnyboxError, "Operation not permitted", _RIGHTS),
    errno.ELOOP: (SkinnyboxError, "symbolic links in a circle, or one where none may be", _SHAPE),
    errno.ENOTDIR: (SkinnyboxError, "a file where a folder should be", _SHAPE),
    errno.EISDIR: (SkinnyboxError, "a folder where a file should be", _SHAPE),
    errno.EMFILE: (SkinnyboxError, "too many open files", _LIMITS),
    errno.ENFILE: (SkinnyboxError, "too many open files on this machine", _LIMITS),
    errno.ENOMEM: (SkinnyboxError, "not enough memory", _LIMITS),
    errno.ENOLCK: (SkinnyboxError, "the filesystem gives no locks", "a file server needs its lock service"),
}  # fmt: skip
"""What the machine may deny us wherever we are: which error that is, in which words, and what to do. Every
seam takes it from here. What is not here is told by its place, or is a bug of ours."""


class NotAFile(OSError):
    """What a name leads to is nothing that can be read to its end; `strerror` says why."""


def from_system(error: OSError) -> SkinnyboxError | None:
    """What the machine denied us wherever we were: room, a working disk, a right. None: a bug of ours."""
    if isinstance(error, NotAFile):
        return SkinnyboxError(f"{_path(error)}{error.strerror}", hint=_SHAPE)
    if error.errno not in _OF_SYSTEM:
        return None
    kind, what, hint = _OF_SYSTEM[error.errno]
    return kind(f"{_path(error)}{what}", hint=hint)


def of_system(error: OSError, where: str = "") -> SkinnyboxError:
    """The same for what is known to come from the machine: always an error of ours. `where` is named when the
    system names no file."""
    found = from_system(error)
    path = _path(error) or (f"{where}: " if where else "")
    if found is None:
        return SkinnyboxError(f"{path}{error.strerror or error}", hint="`skinnybox doctor`")
    return found if error.filename else type(found)(f"{path}{found.message}", hint=found.hint)


def _path(error: OSError) -> str:
    name = error.filename
    return f"{os.fsdecode(name) if isinstance(name, bytes | str | os.PathLike) else name}: " if name else ""
