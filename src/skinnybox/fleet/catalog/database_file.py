"""The catalog's file before SQLite opens it, and those that SQLite puts beside it."""

import errno
import stat
from pathlib import Path

from skinnybox.errors import Corrupt, SkinnyboxError, of_system

REPAIR = "`skinnybox repair` rebuilds it from the records beside the overlays"
OWN_FILES = ("-wal", "-shm", "-journal")
"""What SQLite puts beside it, by the end of the name."""


def exists(path: Path) -> bool:
    """Whether there is one already. Corrupt when that, or what lies where SQLite wants a file of its own, is
    no file: to open a FIFO it waits for ever, and of a folder it does not say what is wrong. `repair` moves
    that aside."""
    there = _is_there(path)
    for suffix in OWN_FILES:
        _is_there(path.with_name(path.name + suffix))
    return there


def _is_there(path: Path) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Corrupt(f"{path} is a symbolic link that leads in a circle", hint=REPAIR) from error
        raise unusable(path.parent, "used", error) from error
    if not stat.S_ISREG(found.st_mode):
        raise Corrupt(f"{path} is no file", hint=REPAIR)
    return True


def unusable(folder: Path, what: str, error: OSError) -> SkinnyboxError:
    return SkinnyboxError(
        f"the state folder {folder} cannot be {what}: {of_system(error).message}",
        hint="--state or SKINNYBOX_STATE names another one",
    )
