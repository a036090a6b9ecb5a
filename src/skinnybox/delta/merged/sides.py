"""What a tree is put together from: directories of disks and sealed images, each read without mounting it.

For the confined process of sending.py: a guest wrote most of these bytes, and a stranger arranged the others.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from skinnybox.delta.upper import OPAQUE
from skinnybox.errors import Corrupt, NotFound
from skinnybox.ext4 import Node, Volume, open_descriptor
from skinnybox.masters.erofs_image import ErofsImage
from skinnybox.masters.erofs_image import Node as Packed
from skinnybox.masters.system.image import is_ext4

Content: TypeAlias = Iterator[bytes | int]
"""Of a file, in order: what is written, in pieces, and how many bytes of a hole come next."""
_LARGEST = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """What stands at one name. `mode` has the kind of file in it; `handle` is its side's own."""

    mode: int
    size: int
    handle: "Node | Packed | None"
    number: int = 0
    is_whiteout: bool = False

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Side(Protocol):
    """Raises Corrupt and Unsupported. No symlink is followed."""

    def within(self, folder: Thing, name: bytes) -> Thing | None: ...
    def children(self, folder: Thing) -> Iterator[tuple[bytes, Thing]]:
        """By the bytes of their names, each once."""
        ...

    def hides(self, folder: Thing) -> bool:
        """Whether what sides below have in this folder is gone."""
        ...

    def target(self, link: Thing) -> bytes: ...
    def content(self, file: Thing) -> Content: ...
    def stored(self, file: Thing) -> int:
        """Bytes of its content that are no hole."""
        ...


_KINDS = {
    "-": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "c": stat.S_IFCHR, "b": stat.S_IFBLK,
    "p": stat.S_IFIFO, "s": stat.S_IFSOCK,
}  # fmt: skip


class Ext4Side:
    """A volume, or one directory of it."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def top(self, path: bytes) -> Thing | None:
        """None where there is no such directory."""
        try:
            node = self._volume.lookup(path)
        except NotFound:
            return None
        return _thing(node) if node.type == "d" else None

    def within(self, folder: Thing, name: bytes) -> Thing | None:
        try:
            return _thing(self._volume.within(_node(folder), name))
        except NotFound:
            return None

    def children(self, folder: Thing) -> Iterator[tuple[bytes, Thing]]:
        for name, node in self._volume.children(_node(folder)):
            yield name, _thing(node)

    def hides(self, folder: Thing) -> bool:
        return self._volume.xattrs(_node(folder)).get(OPAQUE) == b"y"

    def target(self, link: Thing) -> bytes:
        return self._volume.target(_node(link))

    def stored(self, file: Thing) -> int:
        node = _node(file)
        if not self._volume.in_extents(node):
            return file.size
        return sum(max(length, 0) for _, _, length in self._volume.extents(node))

    def content(self, file: Thing) -> Content:
        node, position = _node(file), 0
        if not self._volume.in_extents(node):
            yield from self._volume.read(node)
            return
        for logical, physical, length in self._volume.extents(node):
            if logical >= file.size:
                break
            if logical > position:
                yield logical - position
            yield from self._volume.raw(physical, length)
            position = logical + length
        if file.size > position:
            yield file.size - position


class ErofsSide:
    """A sealed image. It has no marks of overlayfs, and no holes."""

    def __init__(self, image: ErofsImage) -> None:
        self._image = image

    def top(self) -> Thing:
        return self._thing(self._image.root)

    def within(self, folder: Thing, name: bytes) -> Thing | None:
        found = self._image.names(folder.number).get(name)
        return None if found is None else self._thing(found[0])

    def children(self, folder: Thing) -> Iterator[tuple[bytes, Thing]]:
        for name, (number, _) in sorted(self._image.names(folder.number).items()):
            if not name or b"/" in name:
                raise Corrupt(f"a folder of the image has a name that is none: {name!r}")
            yield name, self._thing(number)

    def hides(self, folder: Thing) -> bool:
        return False

    def target(self, link: Thing) -> bytes:
        return self._image.target(link.number)

    def stored(self, file: Thing) -> int:
        return file.size

    def content(self, file: Thing) -> Content:
        assert isinstance(file.handle, Packed)
        return self._image.pieces(file.handle)

    def _thing(self, number: int) -> Thing:
        node = self._image.node(number)
        if node.size >= _LARGEST:
            raise Corrupt(f"an inode of the image says that it is of {node.size} bytes")
        white = stat.S_ISCHR(node.mode) and not node.data  # the number of the device
        return Thing(mode=node.mode, size=node.size, handle=node, number=number, is_whiteout=white)


class Empty:
    """A folder that the guest part makes at its start, on the way to what it binds."""

    folder = Thing(mode=stat.S_IFDIR | 0o755, size=0, handle=None)

    def within(self, folder: Thing, name: bytes) -> Thing | None:
        return None

    def children(self, folder: Thing) -> Iterator[tuple[bytes, Thing]]:
        return iter(())

    def hides(self, folder: Thing) -> bool:
        return False

    def target(self, link: Thing) -> bytes:
        raise AssertionError("it has no links")

    def content(self, file: Thing) -> Content:
        raise AssertionError("it has no files")

    def stored(self, file: Thing) -> int:
        return 0


def sealed(descriptor: int) -> tuple[Side, Thing]:
    """A sealed image of either kind, and its root. Raises Corrupt, Unsupported."""
    if is_ext4(descriptor):
        side = Ext4Side(open_descriptor(descriptor))
        top = side.top(b"")
        assert top is not None
        return side, top
    packed = ErofsSide(ErofsImage(lambda at, length: os.pread(descriptor, length, at)))
    return packed, packed.top()


def _node(thing: Thing) -> Node:
    assert isinstance(thing.handle, Node)
    return thing.handle


def _thing(node: Node) -> Thing:
    if node.size >= _LARGEST:
        raise Corrupt(f"inode {node.inode}: it says that it is of {node.size} bytes")
    return Thing(
        mode=_KINDS[node.type] | node.mode,
        size=node.size,
        handle=node,
        is_whiteout=node.type == "c" and node.rdev == (0, 0),
    )
