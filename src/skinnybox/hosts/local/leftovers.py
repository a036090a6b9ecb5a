"""What lies in the folders of a local host: each machine's place, and everything that is part of none."""

import errno
import json
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from uuid import UUID

from skinnybox import layout, named_file, private
from skinnybox.errors import Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.hosts.holding import Holding
from skinnybox.hosts.local import shared, trouble
from skinnybox.hosts.local.shared import SNAPSHOTS
from skinnybox.hosts.local.store import FILES, RECORD, RECORD_LIMIT
from skinnybox.hosts.record import from_record
from skinnybox.issues import Deed, Finding
from skinnybox.layout import Sort
from skinnybox.masters.workspace import alive
from skinnybox.model import DiskKind, Instance
from skinnybox.overlays import lock
from skinnybox.overlays.template import is_whole
from skinnybox.values import replace

OVERLAY = FILES[DiskKind.OVERLAY]

_YOUNG = 60.0
_HALF_MADE = "half made by a command that was killed"


def holdings(instances: Path) -> Iterator[Holding]:
    """Everything named as a machine, in order. OSError only where `instances` itself cannot be
    looked at: that there are no machines would be a lie. In what is no folder there are none."""
    try:
        places = private.entries(instances)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        places = []
    for place in places:
        uuid = as_uuid(place.name)
        if uuid is not None:
            yield _holding(uuid, place)


def leftovers(state: Path, known: Collection[UUID]) -> Iterator[Finding]:
    """Of the folders `instances` and `templates`."""
    for place in private.entries(state / "instances"):
        uuid = as_uuid(place.name)
        if uuid is None:
            yield stranger(place)
        elif uuid in known and trouble.of_folder(place) is None:
            yield from contained(place, _inside(place))
    yield from contained(state / layout.TEMPLATES, templates(state))


def contained(path: Path, findings: Iterable[Finding]) -> Iterator[Finding]:
    """What cannot be looked at is told as that, and what comes behind it is looked at all the same."""
    try:
        yield from findings
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
        what = f"cannot be looked at: {trouble.of_error(error, place).why}"
        yield Finding(path=place, what=what, deed=Deed.KEEP)


def templates(state: Path) -> Iterator[Finding]:
    for file in private.entries(state / layout.TEMPLATES):
        if layout.sort(layout.TEMPLATES, file.name) is not Sort.PART:
            yield from no_part(layout.TEMPLATES, file)
        elif not is_whole(file):
            what = "a template that is damaged, or was open to others; it is made anew when it is needed"
            yield Finding(path=file, what=what, deed=Deed.REMOVE)


def within(where: str, folder: Path) -> Iterator[Finding]:
    """Everything in a folder that is no part of it; `where` is that folder in the table of layout.py."""
    for path in private.entries(folder):
        yield from no_part(where, path)


def no_part(where: str, path: Path) -> Iterator[Finding]:
    """What is to be said of something in that folder; nothing when it belongs there."""
    match layout.sort(where, path.name):
        case Sort.ASIDE:
            yield moved_aside(path)
        case Sort.HALF:
            yield half_made(path, _HALF_MADE)
        case Sort.STRANGER:
            yield stranger(path)


def as_uuid(name: str) -> UUID | None:
    """The UUID that is written in just this way."""
    try:
        uuid = UUID(name)
    except ValueError:
        return None
    return uuid if str(uuid) == name else None


def stranger(path: Path) -> Finding:
    return Finding(path=path, what="is nothing that Skinnybox puts there", deed=Deed.KEEP)


def moved_aside(path: Path) -> Finding:
    return Finding(path=path, what=layout.MOVED_ASIDE, deed=Deed.KEEP)


def half_made(path: Path, what: str) -> Finding:
    """To be removed, unless it is so new that a living process may be at it."""
    if is_young(path):
        return Finding(
            path=path, what=f"{what}, perhaps in the making: look again in a minute", deed=Deed.KEEP
        )
    return Finding(path=path, what=what, deed=Deed.REMOVE)


def is_young(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_ctime < _YOUNG
    except FileNotFoundError:
        return True


def _holding(uuid: UUID, place: Path) -> Holding:
    found = trouble.of_folder(place)
    if found is not None:
        return Holding(uuid=uuid, place=place, trouble=found.why, unread=True)
    held = Holding(uuid=uuid, place=place)
    try:
        overlay, data = (_disk_size(place / FILES[kind]) for kind in (DiskKind.OVERLAY, DiskKind.DATA))
        held = replace(held, overlay=overlay, data=data)
        instance = _record(place / RECORD)
    except OSError as error:
        why = trouble.of_error(error, place / RECORD).why
        return replace(held, trouble=why, unread=True)
    except Unsupported as error:
        return replace(held, trouble=error.message, later=True)
    except Corrupt as error:
        return replace(held, trouble=error.message)
    return replace(held, instance=instance)


def _disk_size(disk: Path) -> int | None:
    try:
        found = disk.lstat()
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _record(path: Path) -> Instance | None:
    """Corrupt for what is none; OSError where that cannot be known now, and another time may be."""
    try:
        return from_record(json.loads(named_file.content(path, RECORD_LIMIT)))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"not readable: {error}") from error
    except OSError as error:
        if error.errno not in trouble.OF_SHAPE:
            raise
        raise Corrupt(f"not readable: {error}") from error


def _inside(place: Path) -> Iterator[Finding]:
    for path in private.entries(place):
        if path.name == SNAPSHOTS and path.is_dir():
            yield from contained(path, _snapshots(path))
        elif layout.sort(layout.INSTANCE, path.name) is Sort.HALF:
            yield _half_copied(place, path, _HALF_MADE)
        else:
            yield from no_part(layout.INSTANCE, path)


def _snapshots(folder: Path) -> Iterator[Finding]:
    names = {path.name for path in private.entries(folder)}
    own = {image.stem for image in shared.images(folder.parent / OVERLAY, folder)}
    for path in private.entries(folder):
        pairs = {".img": ".json", ".data": ".json", ".json": ".img"}
        other = path.with_suffix(pairs.get(path.suffix, ".none")).name
        sort = layout.sort(layout.SNAPSHOTS, path.name)
        if sort is Sort.HALF:
            yield _half_copied(folder.parent, path, "a snapshot that was not finished")
        elif sort is not Sort.PART:
            yield from no_part(layout.SNAPSHOTS, path)
        elif path.stem in own:
            yield _half_copied(
                folder.parent, path, "of an overlay that was to be kept, and still is in place"
            )
        elif other not in names and path.suffix != ".json":
            yield _half_copied(
                folder.parent, path, "the copy of a snapshot that was not finished, or is deleted"
            )
        elif other not in names:
            yield half_made(path, "the record of a snapshot whose copy is gone")


def _half_copied(place: Path, path: Path, what: str) -> Finding:
    if in_use(place / OVERLAY) or alive(place):
        return Finding(path=path, what="the overlay is in use: look again when it is not", deed=Deed.KEEP)
    return half_made(path, what)


def in_use(overlay: Path) -> bool:
    """Whether a machine or a command has the overlay."""
    try:
        with lock.exclusive(overlay):
            return False
    except NotFound:
        return False
    except SkinnyboxError:  # Conflict; or nobody can say
        return True
