"""Why a machine's place in a local folder cannot be read: looked at for each machine by itself.

A disk fails in one place, and a command with sudo leaves one machine that is root's. Whoever looks at all
machines looks here at each, so that one that cannot be read is told as such, and costs the others nothing.
"""

import errno
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

from skinnybox.errors import of_system
from skinnybox.model import Trouble

_RIGHTS = (errno.EACCES, errno.EPERM)
OF_SHAPE = (errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
"""Something else lies where a file or folder should: nothing fails, and it can be moved out of the way."""


def of_place(place: Path, run: Path) -> Trouble | None:
    """The first thing of a machine that cannot be read: in its folder, or in that of its last run. What is
    not there is no trouble of this kind."""
    looks: tuple[tuple[Callable[[Path], None], Path], ...] = (
        (_enter, place),
        (_read, place / "instance.json"),
        (_read, place / "overlay.img"),
        (_read, place / "data.img"),
        (_enter, place / "snapshots"),
        (_enter, run),
        (_read, run / "machine.json"),
    )
    for look, path in looks:
        try:
            look(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            return of_error(error, path)
    return None


def of_folder(place: Path) -> Trouble | None:
    """The same of the folder alone, where nothing but a folder of its own may stand for it."""
    try:
        if not stat.S_ISDIR(place.lstat().st_mode):
            link = place.is_symlink()
            what = "a symbolic link" if link else "a file"
            return Trouble(brief=what, why=f"{place}: {what} where the folder of a machine should be")
        _enter(place)
    except OSError as error:
        return of_error(error, place)
    return None


def of_error(error: OSError, path: Path) -> Trouble:
    """In a word, and whole."""
    why = of_system(OSError(error.errno, error.strerror, str(path))).message
    if error.errno in _RIGHTS:
        whose = f"belongs to {_owner(path)}"
        return Trouble(brief=whose, why=f"{why}; it {whose}", unreadable=True)
    return Trouble(brief=errno.errorcode.get(error.errno or 0, "unreadable"), why=why)


def _enter(path: Path) -> None:
    with os.scandir(path) as entries:
        next(entries, None)


def _read(path: Path) -> None:
    """One byte: opening alone asks a failing disk for nothing. A pipe put in its place makes nobody wait."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.pread(descriptor, 1, 0)
    finally:
        os.close(descriptor)


def _owner(path: Path) -> str:
    """Of the innermost folder or file on the way that can be looked at: that is what keeps us out."""
    for part in (path, *path.parents):
        try:
            owner = part.lstat().st_uid
        except OSError:
            continue
        try:
            return pwd.getpwuid(owner).pw_name
        except KeyError:
            return f"user {owner}"
    return "somebody else"
