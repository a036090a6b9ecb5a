"""What lies in a state folder where something of another shape belongs: a file where a folder should be, or
nothing readable where a word should be. All of it is moved aside, and what belongs there made anew by who
needs it."""

import errno
import stat
from collections.abc import Iterator
from pathlib import Path

from skinnybox import layout
from skinnybox.fleet.catalog import host_kind
from skinnybox.issues import Deed, Finding

_POOL = "pool"
"""There where machines are on one, also when the catalog is lost."""


def no_folders(folder: Path) -> Iterator[Finding]:
    """A link to a folder is one, and a link to nowhere nothing yet: perhaps a disk that is not mounted."""
    for part in layout.parts(layout.STATE):
        path = folder / part.path
        if part.mode == layout.FOLDER and not part.passing and _is_other(path):
            what = f"is no folder, and is moved aside: here belongs {part.what}"
            yield Finding(path=path, what=what, deed=Deed.ASIDE)


def _is_other(path: Path) -> bool:
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        return error.errno == errno.ELOOP


def is_nowhere(folder: Path, bears: bool, remembered: bool) -> bool:
    """Whether nobody can say on which kind of host the machines are. That one `bears` some, of which it has
    records, answers it. Machines that are only `remembered` are on another: what this one does not have says
    nothing of them then, and what was left half done there cannot be finished here."""
    return host_kind.lost(folder) is not None and not bears and (remembered or (folder / _POOL).exists())


def lost_word(folder: Path, kind: str, bears: bool, nowhere: bool) -> Iterator[Finding]:
    """The file `host`, when nobody can read in it where the machines are."""
    why = host_kind.lost(folder)
    if why is None:
        return
    path = folder / host_kind.FILE
    if nowhere:
        what, deed = f"{why}, and none of the machines are on this host", Deed.KEEP
    elif bears:
        what = f"{why}, and is moved aside: it says {host_kind.word_of(kind)} anew, whose machines are here"
        deed = Deed.ASIDE
    else:
        what, deed = f"{why}, and is moved aside: there are no machines of which it could speak", Deed.ASIDE
    yield Finding(path=path, what=what, deed=deed)
