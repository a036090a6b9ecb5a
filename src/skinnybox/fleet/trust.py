"""Whether a state folder is its user's alone. Who could write to it could have his key in every machine, and
his master under ours; so it is looked at before anything in it is believed, as ssh looks at a key.

Only what has a name of its own is looked at here, which takes a fraction of a millisecond: what lies below is
looked at by who uses it (a template, a master), or made in folders that are looked at here.
"""

import os
from errno import ENOTDIR
from pathlib import Path
from stat import S_ISDIR

from skinnybox import layout, private
from skinnybox.fleet.catalog.database_file import unusable

_NAMED = tuple(part.path for part in layout.TABLE if "<" not in part.path)


def refuse_others(folder: Path) -> None:
    """Blocked, with the path and what to do, when others may write to it or another user owns it. That others
    may read it is no reason: `doctor` tells, and `repair` closes it. SkinnyboxError for what is no folder:
    with /dev/null nobody is told to close that to others."""
    refuse_no_folder(folder)
    private.refuse_place(folder)
    private.refuse_others([folder, *(folder / path for path in _NAMED)])


def refuse_no_folder(folder: Path) -> None:
    """One that is missing is made by who needs it."""
    try:
        is_folder = S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable(folder, "used", error) from error
    if not is_folder:
        raise unusable(folder, "used", NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR)))
