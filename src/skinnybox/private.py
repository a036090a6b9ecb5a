"""Folders and files that are ours alone, whatever the caller's umask says, and whether those there are.

With a umask of 000, as some containers and services have it, a folder made without a mode is everybody's: a
neighbour once replaced the template that all overlays are copied from, and had his key in every new machine.
So who makes anything in a state folder makes it with this, and the modes are those of layout.py.
"""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from skinnybox.errors import Blocked, NotAFile
from skinnybox.layout import FILE, FOLDER

NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
"""What open(2) says where a file cannot be without a name; ENOENT and EISDIR say other things as well."""


def make_folder(path: Path) -> None:
    """With all that is missing above it. Idempotent; what is there already keeps its mode. Raises OSError;
    NotADirectoryError when it is no folder."""
    missing, tried = [path], set[Path]()
    while missing:
        try:
            missing[-1].mkdir(mode=FOLDER)
        except FileNotFoundError as error:
            if missing[-1] == missing[-1].parent:
                raise
            if missing[-1] in tried:  # what is above it is there: /proc says so of what nobody may make
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(missing[-1])) from error
            tried.add(missing[-1])
            missing.append(missing[-1].parent)
            continue
        except FileExistsError as error:
            if not missing[-1].is_dir():  # told as what it is: of EEXIST nobody knows what to say
                raise NotADirectoryError(
                    errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(missing[-1])
                ) from error
        missing.pop()


def create(path: Path) -> BinaryIO:
    """A new file, to be written; FileExistsError when anything has its name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, FILE), "wb")


def put_whole(path: Path, data: bytes) -> bool:
    """A new file that has its name only when all of `data` is in it, so that a kill leaves nothing. False,
    and nothing done, when anything has that name, or where files need one from the first. Not synced."""
    folder = path.parent
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, FILE)
    except OSError as error:
        if error.errno not in NO_TMPFILE or not folder.is_dir():
            raise
        return False
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        # The descriptor argument makes Python call linkat.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
    except FileExistsError:
        return False
    finally:
        os.close(descriptor)
    return True


def to_append(path: Path) -> int:
    """A descriptor of a file of ours that is only ever added to, made when missing. NotAFile for what is
    none: to open a FIFO that nobody reads would wait for ever."""
    flags = (
        os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    )
    try:
        descriptor = os.open(path, flags, FILE)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise NotAFile(errno.EINVAL, "not a regular file", str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFile(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def lock_file(path: Path) -> BinaryIO:
    """A file of no content, made when it is missing."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE), "r+b")


def entries(folder: Path) -> list[Path]:
    """What is in it, by name: nothing where it is gone, or goes just now. Whoever looks at all that is ours
    does so beside others who remove some of it."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def owns(found: os.stat_result) -> bool:
    """Whether it is ours, or root's, who could do anything anyhow."""
    return found.st_uid in (0, os.geteuid())


def is_ours(found: os.stat_result) -> bool:
    """Whether nobody but us and root can have put there what is there, and nobody else can change it."""
    return owns(found) and not _others_may_write(found)


def _others_may_write(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found.st_gid)


def _is_own_group(gid: int) -> bool:
    """Whether it is the group of one user that distributions give each, who then goes with a umask of 002.
    Root's never is: others are in it, or run with it."""
    if os.geteuid() == 0:
        return False
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return (group.gr_name, gid) == (user.pw_name, user.pw_gid) and not {*group.gr_mem} - {user.pw_name}


def refuse_others(paths: Iterable[Path]) -> None:
    """Blocked, naming them, when another user owns one of them or may write to it. What is missing is ours to
    make; a symlink counts as well as what it leads to."""
    strange, open_to_others = [], []
    for path in paths:
        for found in _stats(path):
            if not owns(found):
                strange.append((path, found.st_uid))
            elif _others_may_write(found) and not stat.S_ISLNK(found.st_mode):
                open_to_others.append(path)
    if strange:
        raise _not_ours(*strange[0])
    if open_to_others:
        more = f", and {len(open_to_others) - 1} more in it" if len(open_to_others) > 1 else ""
        raise Blocked(
            f"others may write to {open_to_others[0]}{more}: nothing in it can be trusted",
            hint=f"look who can have been there, then: chmod go-w {' '.join(map(str, open_to_others))}",
        )


def refuse_place(folder: Path) -> None:
    """Blocked when somebody else could put another folder in its place: one above it is everybody's, and not
    sticky as /tmp is. (Who owns a folder above it can as well, but then it is his, and refused as such.)"""
    for above in dict.fromkeys((*folder.absolute().parents, *folder.resolve().parents)):
        for found in _stats(above):
            if stat.S_ISDIR(found.st_mode) and found.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
                raise Blocked(
                    f"others may replace {folder}: everybody may write to {above}",
                    hint=f"chmod o-w {above}, or another folder: --state or SKINNYBOX_STATE names one",
                )


def _stats(path: Path) -> Iterator[os.stat_result]:
    try:
        found = path.lstat()
        yield found
        if stat.S_ISLNK(found.st_mode):
            yield path.stat()
    except OSError:  # missing, or to be told by who needs it
        return


def _not_ours(path: Path, uid: int) -> Blocked:
    name = name_of(uid)
    if os.geteuid() == 0:
        hint = f"as that user: sudo -u {name} skinnybox ...; if it is to be root's: chown -R root {path}"
    else:
        hint = f"--state or SKINNYBOX_STATE names another folder; if it is yours: sudo chown -R $USER {path}"
    return Blocked(f"{path} belongs to another user, {name}", hint=hint)


def name_of(uid: int) -> str:
    """The user's, or the number in the form that sudo takes."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
