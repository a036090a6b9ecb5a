"""The members of an archive, told as a tar. Only in a confined process."""

import hashlib
import os
from typing import BinaryIO

from skinnybox.delta.archive.content import BLOCK, ContentSum, Layout, sum_of_block
from skinnybox.delta.archive.form import FLAGS, MOST_MEMBERS, Line, member_name
from skinnybox.delta.archive.walking import Found
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.ext4 import Volume
from skinnybox.masters import pax
from skinnybox.printable import printable_path

_BATCH = 1 << 18
_PIECE = 1 << 20
_NAME = 100
"""Bytes that a header has for a name."""
_BINARY = (b"hdrcharset", b"BINARY")
_FLAGS = FLAGS.encode()


class Out:
    """Raises OSError of the target, and Corrupt for disks that hold less than their files say."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self._waiting = list[bytes]()
        self._bytes = 0
        self._held: dict[Volume, int] = {}
        self.members = 0

    @property
    def digest(self) -> str:
        """Of all that was told."""
        self._flush()
        return self._digest.hexdigest()

    def small(self, name: bytes, content: bytes) -> None:
        """A file of ours."""
        self._say(_ours(name, len(content)) + content + pax.padding(len(content)))
        self.members += 1

    def file(self, name: bytes, content: BinaryIO) -> None:
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        self._say(_ours(name, size))
        while piece := content.read(_PIECE):
            self._say(piece)
        self._say(pax.padding(size))
        self.members += 1

    def member(self, volume: Volume, found: Found) -> str:
        """One name of a disk; the digest of its content, "" where it has none or that went by already."""
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise Unsupported(f"more than {MOST_MEMBERS} names are more than an archive can tell")
        line = found.line
        if found.again:
            target = member_name(line.tree, line.link or b"")
            self._say(_headers(line, pax.HARD_LINK, [], target=target))
            return ""
        records = [pax.attribute(name, value) for name, value in found.xattrs.items()]
        if line.flags:
            records.append((_FLAGS, b"%d" % line.flags))
        if line.type == "-":
            return self._content(volume, found, records)
        self._say(_headers(line, pax.TYPES[line.type], records, target=line.target))
        return ""

    def end(self) -> None:
        self._say(pax.END)
        self._flush()

    def _content(self, volume: Volume, found: Found, records: list[pax.Record]) -> str:
        line, layout = found.line, layout_of(volume, found)
        self._count(volume, layout.written)
        total, size, table = ContentSum(line.size), line.size, b""
        if layout.held < line.size:
            own, table = pax.sparse(member_name(line.tree, line.path), line.size, layout.runs)
            records, size = [*records, *own], len(table) + layout.held
        self._say(_headers(line, pax.TYPES["-"], records, size=size, is_sparse=bool(table)) + table)
        if size <= BLOCK and not table:
            whole = b"".join([piece for _, piece in layout.pieces()])
            self._say(whole + pax.padding(size))
            return sum_of_block(whole)
        for offset, piece in layout.pieces():
            total.add(offset, piece)
            self._say(piece)
        self._say(pax.padding(size))
        return total.hex()

    def _count(self, volume: Volume, written: int) -> None:
        held = self._held[volume] = self._held.get(volume, 0) + written
        if held > volume.size:
            raise Corrupt("its files hold more than the disk can")

    def _say(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._bytes += len(piece)
        if self._bytes >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        whole = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._digest.update(whole)
        self._target.write(whole)
        self._target.flush()


def layout_of(volume: Volume, found: Found) -> Layout:
    try:
        return Layout(volume, found.node)
    except Unsupported as error:
        where = printable_path(found.line.path)
        raise Unsupported(f"/{where}: {error.message}", hint=error.hint) from error


def _ours(name: bytes, size: int) -> bytes:
    return pax.member(pax.TYPES["-"], name, mode=0o600, owner=(0, 0), size=size, mtime_ns=0, records=[])


def _headers(
    line: Line,
    kind: bytes,
    records: list[pax.Record],
    *,
    size: int = 0,
    target: bytes = b"",
    is_sparse: bool = False,
) -> bytes:
    name = member_name(line.tree, line.path, line.type)
    in_records = is_sparse or len(name) > _NAME or len(target) > _NAME
    if in_records and not (_is_text(name) and _is_text(target)):
        records = [_BINARY, *records]
    return pax.member(
        kind,
        pax.sparse_name(name) if is_sparse else name,
        mode=line.mode,
        owner=(line.uid, line.gid),
        size=size,
        mtime_ns=line.mtime_ns,
        records=records,
        target=target,
        device=line.rdev,
    )


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
