"""What lies among the masters, or the layers, and is none that can be used."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skinnybox import layout, private
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.issues import Deed, Finding
from skinnybox.layout import SYSTEM, Sort
from skinnybox.masters.catalogue import INDEX, INITRD, KERNEL, LOCK, hex_of
from skinnybox.masters.manifest import FILE, from_manifest
from skinnybox.masters.workspace import HIDDEN, alive
from skinnybox.model import Layer, Master


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is kept in one store, a `part` of the layout. `read` gives one, and more, by its manifest; `files`
    it has beside its images; `again` is how one is made once more."""

    word: str
    part: str
    read: Callable[[Path], tuple[Master | Layer, str]]
    files: frozenset[str]
    again: str


MASTERS = Kind(
    word="master",
    part=layout.MASTERS,
    read=from_manifest,
    files=frozenset({FILE, KERNEL, INITRD, INDEX}),
    again="build the master",
)


def leftovers(store: Path, kind: Kind = MASTERS) -> Iterator[Finding]:
    """Looks at names and manifests only: `verify` is what reads the bytes of what is sealed."""
    for place in private.entries(store) if store.is_dir() else []:
        if place.name.startswith(HIDDEN):
            yield _hidden(place, kind)
        else:
            yield from _other(place, kind)


def _hidden(place: Path, kind: Kind) -> Finding:
    """Of a folder in which such a thing was made or removed, or is."""
    if alive(place):
        what = f"a living process makes or removes a {kind.word} there"
        return Finding(path=place, what=what, deed=Deed.KEEP)
    left = f"left by a build, import or removal of a {kind.word} that was killed"
    return Finding(path=place, what=left, deed=Deed.REMOVE)


def _other(place: Path, kind: Kind) -> Iterator[Finding]:
    match layout.sort(kind.part, place.name):
        case Sort.ASIDE:
            yield Finding(path=place, what=layout.MOVED_ASIDE, deed=Deed.KEEP)
        case Sort.PART if place.name != LOCK:
            yield from _sealed(place, kind)
        case Sort.HALF | Sort.STRANGER:
            yield Finding(path=place, what=f"is no {kind.word}", deed=Deed.KEEP)


def _sealed(place: Path, kind: Kind) -> Iterator[Finding]:
    if not private.owns(place.lstat()):
        owner = private.name_of(place.lstat().st_uid)
        what = f"a {kind.word} that another user put there, {owner}: remove it"
        yield Finding(path=place, what=what, deed=Deed.KEEP)
        return
    try:
        found, _ = kind.read(place / FILE)
    except Unsupported as error:
        what = f"a {kind.word} this version cannot use: {error.message}"
        yield Finding(path=place, what=what, deed=Deed.KEEP)
        return
    except Corrupt as error:
        what = f"a {kind.word} with a bad manifest: {error.message}"
        yield Finding(path=place, what=what, deed=Deed.ASIDE)
        return
    if hex_of(found) != place.name:
        yield Finding(path=place, what=f"holds another {kind.word}, {found.id}", deed=Deed.ASIDE)
        return
    yield from _files(place, kind, found)


def _files(place: Path, kind: Kind, found: Master | Layer) -> Iterator[Finding]:
    named = {*kind.files, *(image.file for image in found.images)}
    there = {path.name for path in private.entries(place)}
    if not there:  # removed meanwhile
        return
    for name in sorted(named - there):
        what = f"{found.reference} lacks its {name}: restore it, or remove and {kind.again} again"
        yield Finding(path=place / name, what=what, deed=Deed.KEEP)
    for name in sorted(there - named - {SYSTEM}):
        what = f"not named by {found.reference}: left by an interrupted sealing; the next takes its place"
        yield Finding(path=place / name, what=what, deed=Deed.KEEP)
