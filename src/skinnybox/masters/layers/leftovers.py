"""What lies among the layers and is none that can be used."""

from collections.abc import Iterator
from pathlib import Path

from skinnybox import layout, private
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.issues import Deed, Finding
from skinnybox.layout import Sort
from skinnybox.masters.catalogue import INDEX, LOCK, hex_of
from skinnybox.masters.layers.manifest import from_manifest
from skinnybox.masters.leftovers import hidden
from skinnybox.masters.manifest import FILE
from skinnybox.masters.workspace import HIDDEN


def leftovers(store: Path) -> Iterator[Finding]:
    """Looks at names and manifests only: `verify` is what reads the bytes of a layer."""
    for place in private.entries(store) if store.is_dir() else []:
        if place.name.startswith(HIDDEN):
            yield hidden(place, "a layer")
            continue
        match layout.sort(layout.LAYERS, place.name):
            case Sort.ASIDE:
                yield Finding(path=place, what=layout.MOVED_ASIDE, deed=Deed.KEEP)
            case Sort.PART if place.name != LOCK:
                yield from _layer(place)
            case Sort.HALF | Sort.STRANGER:
                yield Finding(path=place, what="is no layer", deed=Deed.KEEP)


def _layer(place: Path) -> Iterator[Finding]:
    if not private.owns(place.lstat()):
        what = f"a layer that another user put there, {private.name_of(place.lstat().st_uid)}: remove it"
        yield Finding(path=place, what=what, deed=Deed.KEEP)
        return
    try:
        layer, _ = from_manifest(place / FILE)
    except Unsupported as error:
        yield Finding(path=place, what=f"a layer this version cannot use: {error.message}", deed=Deed.KEEP)
        return
    except Corrupt as error:
        yield Finding(path=place, what=f"a layer with a bad manifest: {error.message}", deed=Deed.ASIDE)
        return
    if hex_of(layer) != place.name:
        yield Finding(path=place, what=f"holds another layer, {layer.id}", deed=Deed.ASIDE)
        return
    named = {FILE, INDEX, *(image.file for image in layer.images)}
    there = {path.name for path in private.entries(place)}
    for name in sorted(named - there) if there else ():  # removed meanwhile
        what = f"{layer.reference} lacks its {name}: restore it, or remove and import the layer again"
        yield Finding(path=place / name, what=what, deed=Deed.KEEP)
    for name in sorted(there - named) if there else ():
        yield Finding(path=place / name, what=f"not named by {layer.reference}", deed=Deed.KEEP)
