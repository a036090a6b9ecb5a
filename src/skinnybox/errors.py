"""Every error Skinnybox raises on purpose.

    SkinnyboxError            exit 1   HTTP 500
    +-- UsageError                 2        400   the caller asked for something malformed
    +-- NotFound                   3        404
    +-- Conflict                   4        409   it exists, is in use, or is in the wrong condition
    |   +-- Blocked                5        409   refused to protect data
    +-- Unsupported                6        501   this host or machine cannot do it
    +-- NoSpace                    7        507
    +-- Corrupt                    1        500   bytes are not what was sealed or written
    +-- GuestFailed                1        502   the guest said no, or died
    +-- TimedOut                   1        504
    +-- Cancelled                130        499   nobody wants it any more; never told as a timeout
    +-- CommandFailed              1        500   a program we started failed

A message says what is wrong with which thing; a hint says what to do about it. An exception outside this
tree is a bug of ours (exit 70).
"""

import errno

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (
    errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOLCK,
    errno.ESTALE,
)  # fmt: skip


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


class Unsupported(SkinnyboxError):
    exit_code = 6
    http_status = 501


class NoSpace(SkinnyboxError):
    exit_code = 7
    http_status = 507


class Corrupt(SkinnyboxError):
    pass


class GuestFailed(SkinnyboxError):
    http_status = 502


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


def from_system(error: OSError) -> SkinnyboxError | None:
    """What the machine denied us wherever we were: room, a working disk, a right. None: a bug of ours."""
    what = f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror}"
    if error.errno in _NO_ROOM:
        return NoSpace(what, hint="`skinnybox capacity` shows what is promised and what is free")
    return SkinnyboxError(what, hint="`skinnybox doctor`") if error.errno in _DENIED else None
