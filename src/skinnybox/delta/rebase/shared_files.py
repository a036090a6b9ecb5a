"""Files that have names in what container engines keep, and elsewhere. Numbers there are of other systems and
stay; where they move elsewhere, one file would have two owners."""

from skinnybox.delta.rebase.accounts import Ownership
from skinnybox.delta.rebase.containers import FOLDERS, is_containers
from skinnybox.errors import NotFound
from skinnybox.ext4 import Node, Volume

_TOP = b"upper"


class Inodes:
    """Of one volume, a bit for each: flat, however many names a guest makes."""

    def __init__(self, volume: Volume) -> None:
        self._bits = bytearray(volume.superblock.inodes // 8 + 1)

    def add(self, node: Node) -> None:
        self._bits[node.inode >> 3] |= 1 << (node.inode & 7)

    def __contains__(self, node: Node) -> bool:
        return bool(self._bits[node.inode >> 3] & 1 << (node.inode & 7))


def named_elsewhere(volume: Volume, ownership: Ownership) -> Inodes | None:
    """Those with several names, one of which is outside of what container engines keep. None where no number
    moves, or no engine keeps anything: then nobody has to look."""
    if not ownership.moves or not any(_has(volume, folder) for folder in FOLDERS):
        return None
    found = Inodes(volume)
    for path, node in volume.walk(_TOP):
        if node.links > 1 and node.type != "d" and not is_containers(path):
            found.add(node)
    return found


def _has(volume: Volume, folder: str) -> bool:
    try:
        return volume.lookup(_TOP + folder.encode()).type == "d"
    except NotFound:
        return False
