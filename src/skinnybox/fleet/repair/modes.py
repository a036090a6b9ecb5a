"""What of a state folder is open to more users than layout.py says: left by a version that made folders as
the umask had them, or opened by somebody since."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from skinnybox import layout, private
from skinnybox.issues import Deed, Finding

_OTHERS = 0o077


def open_to_others(folder: Path) -> Iterator[Finding]:
    """From the top. Below a folder that is closed nobody gets at anything, so nothing there is looked at."""
    if folder.is_dir():
        yield from _judged(folder, folder.stat(), layout.FOLDER)
        yield from _below(folder, folder, folder.stat())


def _below(state: Path, folder: Path, seen: os.stat_result) -> Iterator[Finding]:
    if not stat.S_IMODE(seen.st_mode) & _OTHERS:
        return
    for path in private.entries(folder):
        placed = layout.placed(str(path.relative_to(state)))
        try:
            found = path.lstat()
        except FileNotFoundError:  # it went meanwhile
            continue
        if placed is None or stat.S_ISLNK(found.st_mode):
            continue
        # Of a template that was open nobody knows what is in it: it goes, and is not closed (templates()).
        if placed.part.place != layout.TEMPLATES:
            yield from _judged(path, found, placed.part.mode)
        if stat.S_ISDIR(found.st_mode):
            yield from _below(state, path, found)


def _judged(path: Path, found: os.stat_result, wanted: int) -> Iterator[Finding]:
    mode = stat.S_IMODE(found.st_mode)
    if not private.owns(found):
        what = f"belongs to {private.name_of(found.st_uid)}: look who put it there"
        yield Finding(path=path, what=what, deed=Deed.KEEP)
    elif mode & 0o777 & ~wanted:
        what = f"is open to other users: mode {mode:04o} where {wanted:04o} is enough"
        yield Finding(path=path, what=what, deed=Deed.CLOSE, act=partial(_close, path, found, mode & wanted))


def _close(path: Path, found: os.stat_result, mode: int) -> None:
    """What was looked at, and nothing that somebody put in its place since: the folder was open to others,
    and a symlink there would lead root anywhere."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # it went meanwhile
        return
    try:
        now = os.fstat(descriptor)  # a link may have got the number of the file that it stands for
        if os.path.samestat(now, found) and not stat.S_ISLNK(now.st_mode):
            os.chmod(f"/proc/self/fd/{descriptor}", mode)  # noqa: PTH101 (a descriptor)
    finally:
        os.close(descriptor)
