"""In a confined process: say what is at one path of the tree that a machine sees, in frames."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from skinnybox.delta.merged import frames
from skinnybox.delta.merged.sides import Ext4Side, sealed
from skinnybox.delta.merged.tree import Elsewhere, Part, Place, Tree
from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.sandbox.reader import complain

UPPER, DIRECT, FOLDERS = b"upper", b"direct", b"folders"
DEEPEST = 66
"""Folders in one another that are told: more than anybody copies, so who does is told that there are more."""
_TOGETHER = 256 << 10
_ABSENT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """Of one machine, opened. `folders` may be on its data disk, which is None until somebody asks for it,
    `engines` beside the upper directory: by their paths without a leading slash."""

    overlay: Volume
    images: tuple[int, ...]
    data: Volume | None
    folders: tuple[bytes, ...]
    engines: tuple[bytes, ...]


def main(arguments: Sequence[str]) -> None:
    overlay, data, images, folders, engines, path, how = arguments
    beside = _paths(engines)
    try:
        disks = Disks(
            overlay=open_descriptor(int(overlay)),
            data=None if data == _ABSENT else open_descriptor(int(data)),
            images=tuple(map(int, images.split(","))),
            folders=(*found, *beside) if (found := _paths(folders)) else (),
            engines=beside,
        )
        _write(said(disks, bytes.fromhex(path), recursive=how == "all"))
    except (SkinnyboxError, MemoryError) as error:
        complain(error)


def _paths(text: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(each) for each in text.split(",") if each != _ABSENT)


def _write(found: Iterable[bytes]) -> None:
    """Many small ones at once."""
    together = bytearray()
    for frame in found:
        together += frame
        if len(together) >= _TOGETHER:
            sys.stdout.buffer.write(together)
            together.clear()
    sys.stdout.buffer.write(together)
    sys.stdout.buffer.flush()


def said(disks: Disks, path: bytes, *, recursive: bool) -> Iterator[bytes]:
    if not all(disk.superblock.clean for disk in (disks.overlay, disks.data) if disk is not None):
        yield frames.UNSETTLED
        return
    tree, elsewhere = tree_of(disks)
    try:
        found = tree.find(path)
    except Elsewhere:
        yield frames.DATA_DISK
        return
    if found is None:
        yield frames.NOTHING
    elif recursive and any(folder.startswith(_below(found.path)) for folder in elsewhere):
        yield frames.DATA_DISK
    else:
        yield from _one(tree, found, found.path.rpartition(b"/")[2], DEEPEST if recursive else 0)


def _below(path: bytes) -> bytes:
    return path + b"/" if path else b""


def tree_of(disks: Disks) -> tuple[Tree, tuple[bytes, ...]]:
    """What the machine sees, and folders that may be on its data disk, which is not there. Raises Corrupt for
    an overlay that is none."""
    overlay = Ext4Side(disks.overlay)
    upper = overlay.top(UPPER)
    if upper is None:
        raise Corrupt("the overlay has no upper directory")
    bound = dict(_bound(overlay, DIRECT, disks.engines))
    if disks.data is not None:
        bound |= _bound(Ext4Side(disks.data), FOLDERS, disks.folders)
    sides: list[Part] = [(overlay, upper), *map(sealed, disks.images)]
    elsewhere = () if disks.data is not None else disks.folders
    return Tree(sides, bound, elsewhere), elsewhere


def _bound(side: Ext4Side, where: bytes, folders: Iterable[bytes]) -> Mapping[bytes, Part]:
    """Those of the folders that are there: called as guest/lib/data.sh calls them."""
    found = ((folder, side.top(where + b"/" + folder.replace(b"/", b"%"))) for folder in folders)
    return {folder: (side, top) for folder, top in found if top is not None}


def _one(tree: Tree, place: Place, name: bytes, deeper: int) -> Iterator[bytes]:
    """`deeper` is how many folders may lie in one another below it; what is below them is not told."""
    thing = place.thing
    yield frames.entry(_entry(place, name))
    if thing.is_file:
        yield from _content(place)
        yield frames.END
    elif thing.is_folder:
        for below, child in tree.children(place) if deeper else ():
            yield from _one(tree, child, below, deeper - 1)
        yield frames.END


def _entry(place: Place, name: bytes) -> frames.Entry:
    side, thing = place.side, place.thing
    return frames.Entry(
        name=name,
        mode=thing.mode,
        size=thing.size if thing.is_file else 0,
        stored=side.stored(thing) if thing.is_file else 0,
        target=side.target(thing) if thing.is_link else b"",
    )


def _content(place: Place) -> Iterator[bytes]:
    for piece in place.side.content(place.thing):
        if isinstance(piece, int):
            yield frames.hole(piece)
            continue
        for start in range(0, len(piece), frames.MOST_DATA):
            yield frames.data(piece[start : start + frames.MOST_DATA])
