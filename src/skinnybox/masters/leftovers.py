"""What lies among the masters, or the layers, and is none that can be used."""

from collections.abc import Iterator
from pathlib import Path

from skinnybox import layout, private
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.issues import Deed, Finding
from skinnybox.layout import SYSTEM, Sort
from skinnybox.masters.catalogue import INDEX, INITRD, KERNEL, LOCK
from skinnybox.masters.manifest import FILE, from_manifest
from skinnybox.masters.workspace import HIDDEN, alive


def leftovers(store: Path) -> Iterator[Finding]:
    """Looks at names and manifests only: `verify` is what reads the bytes of a master."""
    for place in private.entries(store) if store.is_dir() else []:
        if place.name.startswith(HIDDEN):
            yield hidden(place, "a master")
        else:
            yield from _other(place)


def hidden(place: Path, what: str) -> Finding:
    """Of a folder in which such a thing was made or removed, or is."""
    if alive(place):
        return Finding(path=place, what=f"a living process makes or removes {what} there", deed=Deed.KEEP)
    left = f"left by a build, import or removal of {what} that was killed"
    return Finding(path=place, what=left, deed=Deed.REMOVE)


def _other(place: Path) -> Iterator[Finding]:
    match layout.sort(layout.MASTERS, place.name):
        case Sort.ASIDE:
            yield Finding(path=place, what=layout.MOVED_ASIDE, deed=Deed.KEEP)
        case Sort.PART if place.name != LOCK:
            yield from _master(place)
        case Sort.HALF | Sort.STRANGER:
            yield Finding(path=place, what="is no master", deed=Deed.KEEP)


def _master(place: Path) -> Iterator[Finding]:
    if not private.owns(place.lstat()):
        what = f"a master that another user put there, {private.name_of(place.lstat().st_uid)}: remove it"
        yield Finding(path=place, what=what, deed=Deed.KEEP)
        return
    try:
        master, _ = from_manifest(place / FILE)
    except Unsupported as error:
        yield Finding(path=place, what=f"a master this version cannot use: {error.message}", deed=Deed.KEEP)
        return
    except Corrupt as error:
        yield Finding(path=place, what=f"a master with a bad manifest: {error.message}", deed=Deed.ASIDE)
        return
    if master.id != f"sha256:{place.name}":
        yield Finding(path=place, what=f"holds another master, {master.id}", deed=Deed.ASIDE)
        return
    named = {FILE, KERNEL, INITRD, INDEX, *(image.file for image in master.images)}
    there = {path.name for path in private.entries(place)}
    if not there:  # removed meanwhile
        return
    for name in sorted(named - there):
        what = f"{master.reference} lacks its {name}: restore it, or remove and build the master again"
        yield Finding(path=place / name, what=what, deed=Deed.KEEP)
    for name in sorted(there - named - {SYSTEM}):
        what = f"not named by {master.reference}: left by an interrupted sealing; the next takes its place"
        yield Finding(path=place / name, what=what, deed=Deed.KEEP)
