"""`doctor` on masters whose files make overlays heavy: by their indexes, and not for longer than a moment."""

import time
from collections.abc import Iterator
from pathlib import Path

from skinnybox.errors import SkinnyboxError
from skinnybox.issues import Check
from skinnybox.masters import catalogue, heavy
from skinnybox.model import Master

_NAME = "heavy files"
_SECONDS = 2.0
"""An index is read in 0.1 s for each 10,000 names; a state folder may have a hundred masters."""
_TOLD, _NAMED = 5, 3
_LOOK = "`skinnybox master show MASTER` looks at one"


class _TimeIsUp(Exception):
    pass


def heavy_files(store: Path) -> Iterator[Check]:
    """The newest masters first; those with the same files are told of together. Nothing where there is no
    master, and where not even their manifests can be read: that is told of the state folder."""
    try:
        known = sorted(catalogue.masters(store), key=lambda master: master.created, reverse=True)
    except (SkinnyboxError, OSError):
        return
    found, unseen = _look(store, known)
    for line, masters in list(found.items())[:_TOLD]:
        detail = f"{_named(masters)}: copied up whole when written to: {line}"
        yield Check(name=_NAME, status="warn", detail=detail, hint=heavy.WAY_OUT)
    more = sum(len(masters) for masters in list(found.values())[_TOLD:])
    if more:
        yield Check(name=_NAME, status="warn", detail=f"{more} other masters have more of them", hint=_LOOK)
    if unseen:
        yield Check(
            name=_NAME, status="note", detail=f"not looked at: {unseen} of {len(known)} masters", hint=_LOOK
        )
    elif known and not found:
        yield Check(name=_NAME, status="ok", detail="no master has large files that services write to")


def _look(store: Path, known: list[Master]) -> tuple[dict[str, list[Master]], int]:
    """By what is told of them; and how many have an index that cannot be read, or there was no time for."""
    found: dict[str, list[Master]] = {}
    unseen = 0
    until = time.monotonic() + _SECONDS

    def attend() -> None:
        if time.monotonic() > until:
            raise _TimeIsUp

    for number, master in enumerate(known):
        try:
            line = heavy.listed(heavy.recorded(catalogue.folder(store, master) / catalogue.INDEX, attend))
        except _TimeIsUp:
            return found, unseen + len(known) - number
        except (SkinnyboxError, OSError):
            unseen += 1
            continue
        if line:
            found.setdefault(line, []).append(master)
    return found, unseen


def _named(masters: list[Master]) -> str:
    more = f" and {len(masters) - _NAMED} more" if len(masters) > _NAMED else ""
    return ", ".join(master.reference for master in masters[:_NAMED]) + more
