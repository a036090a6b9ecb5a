"""The program that writes an image beside the one that seals: `main` gets the tree, the image's path and
its date. Nothing of the tree is run or followed; the same tree gives the same bytes, wherever it lies."""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from skinnybox.errors import Corrupt, SkinnyboxError, Unsupported
from skinnybox.masters.ext4_writer.layout import FIRST_INODE, GROUP, ROOT, Space, divided, finish
from skinnybox.masters.ext4_writer.records import (
    BLOCK,
    INODE,
    Folder,
    Inode,
    Run,
    attributes,
    device,
    extent_tree,
    is_short,
    with_users,
)
from skinnybox.masters.index import read_xattrs
from skinnybox.masters.survey import Survey, survey, walk
from skinnybox.sizes import MIB

COMPLAINED = 3
_MOST_SAID = 200
"""Of a path: who hears us reads the end of what we say only."""
_ZEROS, _MANY_ZEROS = bytes(BLOCK), bytes(MIB)
_MOST_NAMES = 65_000
"""Of one file, and folders in one: ext4 counts no further."""
_SHARED = 1024
"""Files that may share a block of attributes."""
_PER_ENTRY = 4
"""Blocks that an entry takes at most beside its content: its end, attributes, its name, its inode."""


def main(arguments: Sequence[str]) -> None:
    tree, image, date = arguments
    try:
        with Path(image).open("xb") as file:
            write(Path(tree), file, date=int(date))
    except SkinnyboxError as error:
        sys.stderr.write(json.dumps([type(error).__name__, error.message, error.hint]))
        sys.stderr.flush()
        os._exit(COMPLAINED)


def write(tree: Path, image: BinaryIO, *, date: int) -> None:
    """Unsupported for what no ext4 keeps, Corrupt for a tree that is being written to."""
    known = survey(tree)
    writer = _Writer(image, _space(known))
    open_folders: list[Folder] = []
    for path, info in walk(os.fsencode(tree)):
        above, _, own = path.rpartition(b"/")
        while path and open_folders[-1].path != above:
            writer.close(open_folders.pop())
        try:
            opened = writer.add(os.fsencode(tree), path, own, info, open_folders[-1] if path else None)
        except Unsupported as error:
            name = os.fsdecode(path)[-_MOST_SAID:]
            raise Unsupported(f"/{name}: {error.message}", hint=error.hint) from error
        if opened is not None:
            open_folders.append(opened)
    for folder in reversed(open_folders):
        writer.close(folder)
    writer.end(date)


def _space(known: Survey) -> Space:
    """With room for the descriptors of all that it can become."""
    content = known.size // BLOCK
    most = content + content // 100 + known.entries * _PER_ENTRY
    groups = max(-(-most // GROUP), -(-known.entries // GROUP)) + 2
    return Space(-(-groups * 32 // BLOCK))


class _Writer:
    """Inodes are numbered as they are met; their records are kept, and lie behind all content."""

    def __init__(self, image: BinaryIO, space: Space) -> None:
        self._image, self._space = image, space
        self._table = bytearray((FIRST_INODE - 1) * INODE)
        self._folders: list[int] = []
        self._linked: dict[tuple[int, int], tuple[int, Inode]] = {}
        self._shared: dict[bytes, tuple[int, int]] = {}
        self._position = 0

    def add(
        self, tree: bytes, path: bytes, name: bytes, info: os.stat_result, above: Folder | None
    ) -> Folder | None:
        """One entry of the walk; a folder, which is closed when all that is in it was added."""
        key = (info.st_dev, info.st_ino)
        linkable = info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode)
        if above and linkable and key in self._linked:
            self._link(self._linked[key], name, info.st_mode, above)
            return None
        number = ROOT if above is None else len(self._table) // INODE + 1
        inode = Inode(mode=info.st_mode, uid=info.st_uid, gid=info.st_gid, mtime_ns=info.st_mtime_ns)
        full = tree + b"/" + path
        self._attributes(inode, attributes(read_xattrs(full)))
        if above is not None:
            self._table += bytes(INODE)
            above.add(name, number, info.st_mode)
        if linkable:
            self._linked[key] = (number, inode)
        if stat.S_ISDIR(info.st_mode):
            self._folders.append(number)
            inode.links = 2
            return Folder(path=path, number=number, parent=above.number if above else ROOT, inode=inode)
        self._content(full, info, inode)
        self._keep(number, inode)
        return None

    def close(self, folder: Folder) -> None:
        if folder.inode.links > _MOST_NAMES:
            folder.inode.links = 1  # as the kernel says it of so many
        blocks = list(folder.blocks())
        folder.inode.size = len(blocks) * BLOCK
        self._map(folder.inode, self._put(blocks))
        self._keep(folder.number, folder.inode)

    def end(self, date: int) -> None:
        groups = divided(self._space, len(self._table) // INODE)
        finish(self._image, self._space, groups, self._table, self._folders, date=date)

    def _link(self, known: tuple[int, Inode], name: bytes, mode: int, above: Folder) -> None:
        number, inode = known
        if inode.links == _MOST_NAMES:
            raise Unsupported(f"a file with more than {_MOST_NAMES} names: no ext4 has them")
        inode.links += 1
        above.add(name, number, mode)
        self._keep(number, inode)

    def _keep(self, number: int, inode: Inode) -> None:
        self._table[(number - 1) * INODE : number * INODE] = inode.record()

    def _content(self, full: bytes, info: os.stat_result, inode: Inode) -> None:
        if stat.S_ISREG(info.st_mode):
            inode.size = info.st_size
            self._map(inode, self._put(blocks_of(full, info.st_size)))
        elif stat.S_ISLNK(info.st_mode):
            target = os.readlink(full)  # noqa: PTH115 (bytes)
            inode.size = len(target)
            if is_short(target):
                inode.place = target.ljust(60, b"\0")
            else:
                self._map(inode, self._put([target.ljust(BLOCK, b"\0")]))
        elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            inode.place = device((os.major(info.st_rdev), os.minor(info.st_rdev)))

    def _put(self, pieces: "Iterator[bytes | int] | Sequence[bytes]") -> list[Run]:
        """Write whole blocks; a number is so many blocks of zeros, which take no place."""
        runs: list[Run] = []
        logical = 0
        for piece in pieces:
            if isinstance(piece, int):
                logical += piece
                continue
            done = 0
            for first, count in self._space.take(len(piece) // BLOCK):
                self._write(first, piece[done * BLOCK : (done + count) * BLOCK])
                if runs and runs[-1][0] + runs[-1][2] == logical and runs[-1][1] + runs[-1][2] == first:
                    runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + count)
                else:
                    runs.append((logical, first, count))
                logical, done = logical + count, done + count
        return runs

    def _map(self, inode: Inode, runs: Sequence[Run]) -> None:
        inode.place, more = extent_tree(runs, self._space.one)
        inode.mapped = True
        inode.blocks += sum(count for _, _, count in runs) + len(more)
        for at, block in more:
            self._write(at, block)

    def _attributes(self, inode: Inode, found: tuple[bytes, bytes]) -> None:
        """Files with the same share a block of them, as the kernel has it; so many, and no more."""
        inode.attributes, block = found
        if not block:
            return
        key = hashlib.sha256(block).digest()
        at, users = self._shared.get(key, (0, _SHARED))
        if users == _SHARED:
            at, users = self._space.one(), 0
        self._write(at, with_users(block, users + 1))
        self._shared[key] = at, users + 1
        inode.attribute_block = at
        inode.blocks += 1

    def _write(self, block: int, data: bytes) -> None:
        if self._position != block * BLOCK:
            self._image.seek(block * BLOCK)
        self._image.write(data)
        self._position = block * BLOCK + len(data)


def blocks_of(path: bytes, size: int) -> "Iterator[bytes | int]":
    """A file's content in whole blocks, those of zeros alone as their number: what a hole is, its bytes tell,
    not how the source's filesystem keeps them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as source:
        for start in range(0, size, MIB):
            wanted = min(size - start, MIB)
            piece = source.read(wanted)
            if len(piece) < wanted:
                raise Corrupt(
                    f"{os.fsdecode(path)} changed while it was read", hint="seal a tree nobody writes to"
                )
            yield from _without_zeros(piece.ljust(-(-wanted // BLOCK) * BLOCK, b"\0"))


def _without_zeros(piece: bytes) -> "Iterator[bytes | int]":
    if _MANY_ZEROS.startswith(piece):
        yield len(piece) // BLOCK
        return
    start = 0
    for at in range(0, len(piece), BLOCK):
        if piece.startswith(_ZEROS, at):
            if at > start:
                yield piece[start:at]
            yield 1
            start = at + BLOCK
    if start < len(piece):
        yield piece[start:]
