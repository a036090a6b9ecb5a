"""The confined process that makes edits of what an archive holds, for one disk.

The index of the newest archive of a chain says what there is to be; each archive, the newest first, gives
what it has of that and no newer one gave. Of a member only its content and its attributes are believed, and
these as far as they have the digests that its line says.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

from skinnybox.delta.archive.content import ContentSum
from skinnybox.delta.archive.form import (
    MOST_XATTRS,
    TREES,
    Line,
    archived_xattrs,
    place,
    xattr_name,
    xattrs_sum,
)
from skinnybox.delta.archive.incoming import Archived, Digested
from skinnybox.delta.archive.reading import ROOM, written
from skinnybox.delta.archive.structure import TREE, Key, Structure, key_of, lines_in, tree_of
from skinnybox.delta.rebase.orders import encoded
from skinnybox.errors import Corrupt, NoSpace, NotFound
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.masters.archives.members import Member, map_of
from skinnybox.model import DiskKind
from skinnybox.overlays.edits import RUN, Alteration, Creation, Edit, Holed, Link, Stretch, Xattrs
from skinnybox.sandbox.reader import answer

_BUFFER = 1 << 18
_TELL = 1 << 12
_ROOT = 2
_KINDS = {
    "-": (b"0", b"\0", b"7"), "d": (b"5",), "l": (b"2",), "c": (b"3",), "b": (b"4",), "p": (b"6",),
}  # fmt: skip
_HARD_LINK = (b"1",)
_TYPES = {
    "-": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "c": stat.S_IFCHR, "b": stat.S_IFBLK,
    "p": stat.S_IFIFO,
}  # fmt: skip
_NAMESPACES = ("user.", "trusted.", "security.")
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")


def main(arguments: Sequence[str]) -> None:
    kind, newest, *files = arguments
    answer(written(_ordered(DiskKind(kind), newest == "newest", *map(int, files))), batch=1)


def _ordered(
    kind: DiskKind, newest: bool, archive: int, device: int, index: int, given: int, contents: int, edits: int
) -> Iterator[Any]:
    """How far it is, now and then; at last what its end says, and how many names no archive gave yet."""
    archived = Archived(archive)
    archived.manifest()
    with ExitStack() as held:
        lines, has, spool, orders = (
            held.enter_context(os.fdopen(os.dup(each), "r+b", _BUFFER))
            for each in (index, given, contents, edits)
        )
        has.seek(0)
        cursor = Cursor(lines_in(lines), bytearray(has.read()), kind)
        volume = open_descriptor(device)
        maker = Maker(volume, archived.incoming, spool, orders)
        for count, member in enumerate(archived.trees()):
            if not count % _TELL:
                yield {"done": archived.incoming.at}
            tree, path = place(member.name)
            line = cursor.wanted(key_of(tree, path), strictly=newest)
            if line is not None:
                maker.make(line, member)
                cursor.give()
        left = cursor.left()
        has.seek(0)
        has.write(cursor.given)
    for _ in archived.index():
        pass
    yield {"sha256": archived.end().digest, "left": left}


class Cursor:
    """Where the index is, while an archive goes by in the same order. `given`: a byte for each line of which
    some archive gave what stands there. Only those of one disk are told."""

    def __init__(self, lines: Iterator[Line], given: bytearray, kind: DiskKind) -> None:
        self.given = given
        self._kind = kind
        self._lines = lines
        self._structure = Structure()
        self._last: Key = (-1, b"")
        self._around: int | None = None
        self._key: Key = (-1, b"")
        self._line: Line | None = None
        self._missing = 0

    def wanted(self, key: Key, *, strictly: bool) -> Line | None:
        """The line of a member, where nobody gave it yet; with `strictly` each has one. Corrupt."""
        if key <= self._last:
            raise Corrupt("a member of it is there twice, or not in its place")
        self._last = key
        while self._key < key and self._advance():
            pass
        if self._line is None or self._key != key:
            if strictly:
                raise Corrupt("a member of it is not in its index")
            return None
        if self.given[self._structure.number] or tree_of(self._line).disk is not self._kind:
            return None
        if self._around is not None and not self.given[self._around]:
            raise Corrupt("a member of it is in a folder that is not in it")
        return self._line

    def give(self) -> None:
        self.given[self._structure.number] = 1

    def left(self) -> int:
        """How many nobody gave; the index is gone through to its end."""
        while self._advance():
            pass
        return self._missing

    def _advance(self) -> bool:
        self._pass()
        self._line = next(self._lines, None)
        if self._line is None:
            self._key = (len(TREES), b"")
            return False
        self._around = self._structure.see(self._line)
        self._key = key_of(self._line.tree, self._line.path)
        if self._structure.number >= len(self.given):
            self.given.append(0)
        return True

    def _pass(self) -> None:
        if self._line is not None and tree_of(self._line).disk is self._kind:
            self._missing += not self.given[self._structure.number]


@dataclass(slots=True)
class Maker:
    """Writes down what makes a line's thing of a member."""

    volume: Volume
    incoming: Digested
    contents: BinaryIO
    edits: BinaryIO
    end: int = -1
    held: int = 0

    def make(self, line: Line, member: Member) -> None:
        """Corrupt for a member that is another thing than its line says; NoSpace for contents that are larger
        than the disk."""
        if member.kind not in (_HARD_LINK if line.link is not None else _KINDS[line.type]):
            raise Corrupt(f"{line.path!r:.100} is another thing in its index than in the archive")
        self.edits.write(encoded(self._edit(line, member)))

    def _edit(self, line: Line, member: Member) -> Edit:
        tree = TREE[line.tree][1]
        top, before = self._top(tree.top)
        folder, _, name = line.path.rpartition(b"/")
        below = (*before, *folder.split(b"/")) if folder else before
        path = tree.top + b"/" + line.path
        if line.link is not None:
            if place(member.target) != (line.tree, line.link):
                raise Corrupt(f"{line.path!r:.100} is another's name in its index than in the archive")
            return Link(folder=top, below=below, name=name, path=path, of=tree.top + b"/" + line.link)
        if line.type == "l" and member.target != line.target:
            raise Corrupt(f"{line.path!r:.100} leads elsewhere in its index than in the archive")
        xattrs = self._xattrs(line, member)
        mode = _TYPES[line.type] | line.mode
        if not line.path and not before:
            return Alteration(
                inode=top, mode=mode, uid=line.uid, gid=line.gid, xattrs=xattrs, mtime_ns=line.mtime_ns,
                flags=line.flags,
            )  # fmt: skip
        if not line.path:
            name, path, below = tree.top, tree.top, ()
        return Creation(
            folder=top, below=below, name=name, path=path, mode=mode, uid=line.uid, gid=line.gid,
            mtime_ns=line.mtime_ns, content=self._content(line, member) if line.type == "-" else None,
            target=line.target or None, rdev=line.rdev, xattrs=xattrs, flags=line.flags,
        )  # fmt: skip

    def _top(self, name: bytes) -> tuple[int, tuple[bytes, ...]]:
        """The inode that is there, and what is made below it before anything else is."""
        try:
            return self.volume.lookup(name).inode, ()
        except NotFound:
            return _ROOT, (name,)

    def _xattrs(self, line: Line, member: Member) -> Xattrs:
        found = dict[str, bytes]()
        for key, value in member.records:
            name = xattr_name(key)
            if name is not None:
                found[name] = value
        kept = archived_xattrs(TREE[line.tree][1], found)
        proper = all(name.startswith(_NAMESPACES) or name in _ACLS for name in found)
        size = sum(map(len, found.values()))
        if kept != found or not proper or size > MOST_XATTRS or xattrs_sum(found) != line.xattrs:
            raise Corrupt(f"{line.path!r:.100} has other attributes in its index, or such as none may have")
        return tuple((name, self._spooled([value])) for name, value in sorted(found.items()))

    def _content(self, line: Line, member: Member) -> Stretch | Holed:
        left, runs = member.stored, member.runs
        if member.map_first:
            runs, length = map_of(self.incoming, member)
            left -= length
        whole = runs is None
        runs = [(0, left)] if runs is None else [run for run in runs if run[1]]
        _check_runs(runs, left, member.size)
        total = ContentSum(member.size)
        self.held += left
        if self.held > self.volume.free_bytes:
            raise NoSpace("it holds more than goes into the machine's disk", hint=ROOM)
        data = self._spooled(self._pieces(runs, total))
        if member.size != line.size or total.hex() != line.content:
            raise Corrupt(f"{line.path!r:.100} holds something else than its index says")
        if whole:
            return data
        table = self._spooled([b"".join(RUN.pack(*run) for run in runs)])
        return Holed(member.size, table, data)

    def _pieces(self, runs: list[tuple[int, int]], total: ContentSum) -> Iterator[bytes]:
        for offset, length in runs:
            for piece in self.incoming.pieces(length):
                total.add(offset, piece)
                offset += len(piece)
                yield piece

    def _spooled(self, pieces: "Iterator[bytes] | list[bytes]") -> Stretch:
        if self.end < 0:
            self.end = self.contents.seek(0, os.SEEK_END)
        start = self.end
        for piece in pieces:
            self.end += len(piece)
            self.contents.write(piece)
        return Stretch(start, self.end - start)


def _check_runs(runs: list[tuple[int, int]], held: int, size: int) -> None:
    """Ascending, within the file, and as much as there is."""
    end = 0
    for offset, length in runs:
        if offset < end or offset + length > size:
            raise Corrupt("the map of a sparse file does not fit it")
        end = offset + length
    if sum(length for _, length in runs) != held:
        raise Corrupt("the map of a sparse file does not fit it")
