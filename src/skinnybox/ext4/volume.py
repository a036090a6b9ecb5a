"""A volume opened for reading: look up, walk, read."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from skinnybox.errors import Corrupt, NotFound
from skinnybox.ext4 import directory, xattr
from skinnybox.ext4.device import Device
from skinnybox.ext4.extents import runs
from skinnybox.ext4.inode import EA_INODE, INLINE, Node, parse_inode
from skinnybox.ext4.superblock import Superblock, inode_offset, read_superblock

TOO_DEEP = "what lies below is too deep to be listed"

_ROOT = 2
_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_MAX_PATH = 4096
_INLINE_DOTDOT = 4
_MAX_DIRECTORY = 256 << 20

Cut = Callable[[bytes, str], None]
"""Told of a directory whose names were left out, all or some, and why."""


@contextlib.contextmanager
def open_volume(path: Path) -> Iterator["Volume"]:
    """Open a disk image or block device. NotFound when there is none, Corrupt when it holds no ext4.

    For what we made ourselves: what a guest wrote to is read in a confined process (look.py). The caller sees
    to it that nobody writes meanwhile, and that the volume is clean (see settle.py).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such disk") from error
    try:
        kind = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
            raise Corrupt(f"{path} is neither a file nor a block device")
        yield open_descriptor(descriptor)
    finally:
        os.close(descriptor)


def open_descriptor(descriptor: int, start: int = 0, length: int | None = None) -> "Volume":
    """The volume in an open file, or in `length` bytes of it from `start`. Corrupt when there is none."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    size = end - start if length is None else length
    if start < 0 or size < 0 or start + size > end:
        raise Corrupt(f"bytes {start} to {start + size} lie outside a disk of {end}")
    return Volume(Device(descriptor, size, start))


class Volume:
    """Every method raises Corrupt for bytes that make no sense, Unsupported for what no reader of ours knows,
    and reads no more than it is asked for."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.superblock: Superblock = read_superblock(device)
        self.size: int = self.superblock.blocks * self.superblock.block_size
        self.free_bytes: int = self.superblock.free_blocks * self.superblock.block_size

    def node(self, number: int) -> Node:
        """The inode with this number."""
        raw = self._device.cached(self.offset(number), self.superblock.inode_size)
        return parse_inode(number, raw, large_directories=self.superblock.large_directories)

    def offset(self, number: int) -> int:
        """Where the record of an inode lies, in bytes from the volume's start."""
        return inode_offset(self._device, self.superblock, number)

    def lookup(self, path: bytes) -> Node:
        """The node at a path from the volume's root; no symlink is followed. NotFound."""
        node = self.node(_ROOT)
        for name in path.split(b"/"):
            if not name:
                continue
            found = self._find(node, name)
            if found is None:
                raise NotFound(f"/{path.decode('utf-8', 'backslashreplace')}: not on this volume")
            node = self._child(node, found)
        return node

    def within(self, folder: Node, name: bytes) -> Node:
        """What a directory has by this name. NotFound."""
        found = self._find(folder, name)
        if found is None:
            raise NotFound(f"{name!r}: not in inode {folder.inode}")
        return self._child(folder, found)

    def walk(self, top: bytes, cut: Cut | None = None) -> Iterator[tuple[bytes, Node]]:
        """Everything at and below `top`, parents first, siblings by the raw bytes of their names.

        Paths are relative to `top`, which itself is b"". A directory met twice, or more directory blocks or
        names than the volume can have, are Corrupt: so it ends, whatever the bytes are.

        Paths that are too long and directories with too many names are no damage: any user of a guest can
        make them. With `cut` they are left out, and it is told before the rest of that directory comes;
        without it they are Corrupt as well.
        """
        first = self.lookup(top)
        yield b"", first
        seen = {first.inode}
        budget = _Budget(self.superblock)
        pending = [self._children(b"", first, budget, cut)] if first.type == "d" else []
        while pending:
            path, node = next(pending[-1], (b"", None))
            if node is None:
                pending.pop()
                continue
            if node.type == "d" and node.inode in seen:
                raise Corrupt(f"inode {node.inode}: a directory with two places, one is {path!r}")
            yield path, node
            if node.type == "d":
                seen.add(node.inode)
                pending.append(self._children(path, node, budget, cut))

    def read(self, node: Node, limit: int | None = None) -> Iterator[bytes]:
        """The first `limit` bytes of a file's content, all when None; in pieces of at most 1 MiB."""
        end = node.size if limit is None else min(node.size, limit)
        if node.flags & INLINE:
            yield self._inline(node)[:end]
            return
        position = 0
        for logical, physical, length in self.extents(node):
            if logical >= end:
                break
            yield from _zeros(logical - position)
            position = min(logical + length, end)
            for offset in range(logical, position, _CHUNK):
                yield self._device.read(physical + offset - logical, min(_CHUNK, position - offset))
        yield from _zeros(end - position)

    def part(self, node: Node, at: int, length: int) -> bytes:
        """So many bytes of a file's content from an offset on, or fewer at its end."""
        end = min(node.size, at + length)
        if node.flags & INLINE:
            return self._inline(node)[at:end]
        found = bytearray(max(end - at, 0))
        for logical, physical, count in self.extents(node):
            first, last = max(logical, at), min(logical + count, end)
            if first < last:
                found[first - at : last - at] = self._device.read(physical + first - logical, last - first)
        return bytes(found)

    def extents(self, node: Node) -> Iterator[tuple[int, int, int]]:
        """(logical, physical, length) of what is written, in bytes, ascending; the gaps read as zeros."""
        size = self.superblock.block_size
        for logical, physical, count in runs(self._device, self.superblock, node):
            yield logical * size, physical * size, min(count * size, node.size - logical * size)

    def allocated(self, node: Node) -> Iterator[tuple[int, int]]:
        """(physical, length) of all blocks that are the node's up to its size, written or not, in bytes."""
        size = self.superblock.block_size
        for _, physical, count in runs(self._device, self.superblock, node, unwritten=True):
            yield physical * size, count * size

    def in_extents(self, node: Node) -> bool:
        """Whether `extents` tells where its content lies: not that of small files, in their inodes."""
        return not node.flags & INLINE

    def raw(self, physical: int, length: int) -> Iterator[bytes]:
        """What lies there on the volume, in pieces of at most 1 MiB."""
        for offset in range(0, length, _CHUNK):
            yield self._device.read(physical + offset, min(_CHUNK, length - offset))

    def names(self, path: bytes) -> list[bytes]:
        """What a directory holds, sorted; nothing when it is none."""
        try:
            node = self.lookup(path)
        except NotFound:
            return []
        return (
            [name for name, _ in directory.sorted_names(node.inode, self._blocks(node))]
            if node.type == "d"
            else []
        )

    def children(self, folder: Node) -> Iterator[tuple[bytes, Node]]:
        """What a directory holds, sorted; nothing when it is none. Corrupt for too many names as well."""
        if folder.type == "d":
            for name, number in directory.sorted_names(folder.inode, self._blocks(folder)):
                yield name, self._child(folder, number)

    def target(self, node: Node) -> bytes:
        """Where a symlink leads."""
        if node.type != "l" or not 0 < node.size < _MAX_PATH:
            raise Corrupt(f"inode {node.inode}: no symlink, or one without a proper target")
        found = node.map[: node.size] if self._in_record(node) else b"".join(self.read(node))
        if len(found) != node.size or b"\0" in found:
            raise Corrupt(f"inode {node.inode}: the symlink's target makes no sense")
        return found

    def xattrs(self, node: Node) -> dict[str, bytes]:
        """All extended attributes, by full name; access lists in the format of getxattr(2)."""
        found = xattr.without_content(xattr.in_inode(node.inode, node.tail))
        if not node.attributes:
            return found
        if not self.superblock.first_data_block < node.attributes < self.superblock.blocks:
            raise Corrupt(f"inode {node.inode}: its attribute block lies outside the volume")
        size = self.superblock.block_size
        return xattr.in_block(node.inode, self._device.cached(node.attributes * size, size)) | found

    def _in_record(self, node: Node) -> bool:
        """A short target lies in the inode itself, which then owns no block but one of attributes."""
        of_attributes = self.superblock.block_size // 512 if node.attributes else 0
        return node.sectors == of_attributes and node.size < len(node.map) and not node.flags & INLINE

    def _inline(self, node: Node) -> bytes:
        found = node.map + xattr.content(xattr.in_inode(node.inode, node.tail))
        if len(found) < node.size:
            raise Corrupt(f"inode {node.inode}: its inline content is shorter than its size")
        return found[: node.size]

    def _blocks(self, node: Node) -> Iterator[bytes]:
        """A directory's blocks. Inline ones have their entries in two pieces, behind the parent's number."""
        if node.flags & INLINE:
            found = self._inline(node)
            yield from filter(None, (found[_INLINE_DOTDOT : len(node.map)], found[len(node.map) :]))
            return
        size = self.superblock.block_size
        if node.size % size or node.size > min(self.size, _MAX_DIRECTORY):
            raise Corrupt(f"inode {node.inode}: a directory of {node.size} bytes")
        for _, physical, length in self.extents(node):
            for offset in range(physical, physical + length, size):
                yield self._device.read(offset, size)

    def _find(self, folder: Node, name: bytes) -> int | None:
        if folder.type != "d":
            return None
        return directory.find_name(folder.inode, self._blocks(folder), name)

    def _children(
        self, path: bytes, folder: Node, budget: "_Budget", cut: Cut | None
    ) -> Iterator[tuple[bytes, Node]]:
        budget.read(folder)
        try:
            names = directory.sorted_names(folder.inode, self._blocks(folder))
            budget.hold(folder, len(names))
        except directory.TooManyNames:
            if cut is None:
                raise
            cut(path, "too many names to be listed")
            return
        prefix = path + b"/" if path else b""
        room = _MAX_PATH - len(prefix)
        if any(len(name) >= room for name, _ in names):
            if cut is None:
                raise Corrupt(f"inode {folder.inode}: a path of more than {_MAX_PATH} bytes")
            cut(path, TOO_DEEP)
        for name, number in names:
            if len(name) < room:
                yield prefix + name, self._child(folder, number)
        budget.drop(len(names))

    def _child(self, folder: Node, number: int) -> Node:
        if number < self.superblock.first_inode:
            raise Corrupt(f"inode {folder.inode}: the directory names the reserved inode {number}")
        node = self.node(number)
        if node.flags & EA_INODE:
            raise Corrupt(f"inode {folder.inode}: the directory names inode {number}, which is an attribute")
        return node


class _Budget:
    """What one walk may spend: each block belongs to one directory; names are bounded, as is the memory."""

    def __init__(self, superblock: Superblock) -> None:
        self._block_size = superblock.block_size
        self._blocks = superblock.blocks
        self._names = superblock.inodes * 4 + directory.MAX_NAMES
        self._held = 0

    def read(self, folder: Node) -> None:
        self._blocks -= folder.size // self._block_size
        if self._blocks < 0:
            raise Corrupt(f"inode {folder.inode}: the directories are larger than the volume")

    def hold(self, folder: Node, names: int) -> None:
        if names > self._names or self._held + names > 2 * directory.MAX_NAMES:
            raise directory.TooManyNames(f"inode {folder.inode}: the volume holds too many names")
        self._names -= names
        self._held += names

    def drop(self, names: int) -> None:
        self._held -= names


def _zeros(length: int) -> Iterator[bytes]:
    while length > 0:
        yield _ZEROS[:length]
        length -= _CHUNK
