"""What overlayfs keeps for itself beside an upper directory, for whoever alters that: it goes."""

from skinnybox.delta.rebase.written import Written
from skinnybox.errors import NotFound
from skinnybox.ext4 import Node, Volume
from skinnybox.overlays.edits import Removal

_WORK = b"work"


def empty_work(volume: Volume, out: Written) -> None:
    """What the kernel left half done there, and its index, are of the old stack. It makes anew what it needs.
    A folder comes behind what is in it."""
    try:
        work = volume.lookup(_WORK)
    except NotFound:
        return
    around: list[tuple[bytes, Node]] = [(b"", work)]
    for path, node in volume.walk(_WORK):
        while path and not path.startswith(around[-1][0] + b"/" if around[-1][0] else b""):
            _leave(around, out)
        if node.type == "d":
            if path:
                around.append((path, node))
        else:
            out.need.remove(node)
            out.remove(_removal(around[-1][1], path))
    while len(around) > 1:
        _leave(around, out)


def _leave(around: list[tuple[bytes, Node]], out: Written) -> None:
    path, _ = around.pop()
    out.remove(_removal(around[-1][1], path, is_folder=True))


def _removal(folder: Node, path: bytes, *, is_folder: bool = False) -> Removal:
    name = path.rpartition(b"/")[2]
    return Removal(folder=folder.inode, name=name, path=_WORK + b"/" + path, is_folder=is_folder)
