"""Whether a state folder is its user's alone. Who could write to it could have his key in every machine, and
his master under ours; so it is looked at before anything in it is believed, as ssh looks at a key.

Only what has a name of its own is looked at here, which takes a fraction of a millisecond: what lies below is
looked at by who uses it (a template, a master), or made in folders that are looked at here.
"""

from pathlib import Path

from skinnybox import layout, private

_NAMED = tuple(part.path for part in layout.TABLE if "<" not in part.path)


def refuse_others(folder: Path) -> None:
    """Blocked, with the path and what to do, when others may write to it or another user owns it. That others
    may read it is no reason: `doctor` tells, and `repair` closes it."""
    private.refuse_place(folder)
    private.refuse_others([folder, *(folder / path for path in _NAMED)])
