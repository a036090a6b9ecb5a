"""An ext4 volume as a pax tar that loses nothing: owners, times, links, devices, xattrs, ACLs, holes.

Only called in a confined process. Sockets are left out, as tar does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.ext4 import Node, Volume
from skinnybox.masters import pax, tar_members
from skinnybox.masters.pax import Record

Run = tuple[int, int, int]
"""(offset in the file, offset on the disk, length) in bytes."""


@dataclass(slots=True)
class Allowance:
    """What files of one volume may claim to hold all together, holes included, and may hold."""

    apparent: int
    written: int

    def spend(self, path: bytes, size: int, runs: list[Run]) -> None:
        """Raises Unsupported, and Corrupt, where it is more."""
        self.apparent -= size
        if self.apparent < 0:
            raise Unsupported(
                "its files are far larger than the disk they lie on",
                hint=f"the last was {path!r}: empty the largest sparse files and try again",
            )
        self.written -= sum(length for _, _, length in runs)
        if self.written < 0:
            raise Corrupt("its files hold more than the volume can")


def tar_of(volume: Volume, *, apparent: int) -> Iterator[bytes]:
    """The whole volume, in pieces of at most 1 MiB. All files together may claim `apparent` bytes, and may
    hold what the volume can: see Allowance."""
    first: dict[int, bytes] = {}
    allowance = Allowance(apparent, volume.size)
    for path, node in volume.walk(b""):
        if node.type == "s":
            continue
        if node.links > 1 and node.type != "d":
            if node.inode in first:
                yield tar_members.hard_link(path, node, first[node.inode])
                continue
            first[node.inode] = path
        if node.type != "-":
            target = volume.target(node) if node.type == "l" else b""
            records = _attributes(volume, node)
            yield tar_members.member(pax.TYPES[node.type], path, node, 0, records, target=target)
            continue
        yield from file(volume, path, node, _attributes(volume, node), allowance)
    yield pax.END


def file(
    volume: Volume, path: bytes, node: Node, records: list[Record], allowance: Allowance
) -> Iterator[bytes]:
    """One that is regular, with its holes."""
    runs = _runs(volume, node)
    allowance.spend(path, node.size, runs)
    held = sum(length for _, _, length in runs)
    if held == node.size or not volume.in_extents(node):
        yield tar_members.member(b"0", path, node, node.size, records)
        yield from volume.read(node)
        yield pax.padding(node.size)
        return
    holding = [(logical, length) for logical, _, length in runs]
    head, size = tar_members.sparse(path, node, node.size, holding, records)
    yield head
    for _, physical, length in runs:
        yield from volume.raw(physical, length)
    yield pax.padding(size)


def _runs(volume: Volume, node: Node) -> list[Run]:
    """(logical, physical, length) in bytes; nothing for small files that lie in their inodes."""
    return list(volume.extents(node)) if volume.in_extents(node) else []


def _attributes(volume: Volume, node: Node) -> list[Record]:
    found = volume.xattrs(node)
    return list(tar_members.attributes(found.items())) if found else []
