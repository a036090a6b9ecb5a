"""An index of a sealed tree by path: unpacked into a file, with a table beside it that says where each is.

Whoever compares a machine with its master asks about the paths that the machine has, and masters have tens
of thousands of others. So what is asked costs two reads, and what is not costs nothing. The table is of
places of lines, by a sum of the path: open addressing, at most half full, eight bytes a place, 0 for none.
"""

import io
import os
import re
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from skinnybox.errors import Corrupt
from skinnybox.masters.index import LONGEST_LINE, Line, encoded, read_lines

_PLAIN = re.compile(
    rb'\{"path":"([^"\\]*)","type":"(.)","mode":\d+,"uid":\d+,"gid":\d+,"mtime":\d+[,}].*\n', re.DOTALL
)
_OWNED = re.compile(rb',"uid":(\d+),"gid":(\d+),"mtime":')
_WITH_LISTS = re.compile(rb'^[^\n]*"system\.posix_acl_[^\n]*\n', re.MULTILINE)
_PLACE, _TOGETHER = 8, 8
_HEAD = 1 << 9
"""Bytes that are read of a line at first: most are shorter."""
_CHUNK = 1 << 20


def unpack(file: Path, lines: BinaryIO, table: BinaryIO) -> None:
    """Write what `Lookup` reads, to empty files, as its writer would write it now. Raises Corrupt as
    read_index does, and for one that is not in order, or in which a folder is missing."""
    places, sums = array("Q"), array("L")
    at = 0
    for path, raw in _checked(file):
        places.append(at + 1)
        sums.append(zlib.crc32(path))
        lines.write(raw)
        at += len(raw)
    table.write(_table(places, sums))


def _checked(file: Path) -> Iterator[tuple[bytes, bytes]]:
    last: bytes | None = None
    around: list[bytes] = []
    for line in read_lines(file):
        plain = _PLAIN.fullmatch(line.raw)
        raw = line.raw if plain else encoded(line.entry())
        path, key = line.path, line.path.replace(b"/", b"\0")
        if last is not None and key <= last:
            raise Corrupt(f"{file} is not in order at {path!r}")
        folder = path.rpartition(b"/")[0]
        while around and around[-1] != folder:
            around.pop()
        if path and not around:
            raise Corrupt(f"{file} has no folder for {path!r}")
        if line.is_folder():
            around.append(path)
        last = key
        yield path, raw


def _table(places: "array[int]", sums: "array[int]") -> bytes:
    size = 1 << max(len(places) * 2, _TOGETHER).bit_length()
    found = array("Q", bytes(size * _PLACE))
    for place, total in zip(places, sums, strict=True):
        slot = total % size
        while found[slot]:
            slot = (slot + 1) % size
        found[slot] = place
    return found.tobytes()


class Lookup:
    """What two open files hold that `unpack` wrote. Others may read them as well. Raises Corrupt."""

    def __init__(self, lines: int, table: int) -> None:
        self._lines, self._table = lines, table
        self._size = os.fstat(table).st_size // _PLACE
        self._source = io.BytesIO()  # for messages

    def at(self, path: bytes) -> Line | None:
        place = self._place(path)
        return None if place is None else place[1]

    def below(self, folder: bytes) -> Iterator[Line]:
        """All that lies below, in canonical order."""
        place = self._place(folder)
        if place is None:
            return
        prefix = folder + b"/" if folder else b""
        for line in self._from(place[0]):
            if line.path != folder:
                if not line.path.startswith(prefix):
                    return
                yield line

    def __iter__(self) -> Iterator[Line]:
        return self._from(0)

    def numbers(self) -> Iterator[tuple[int, int]]:
        """Of user and group, of whom anything is: each pair once in so many lines."""
        for chunk in self._chunks():
            for user, group in set(_OWNED.findall(chunk)):
                yield int(user), int(group)

    def with_lists(self) -> Iterator[Line]:
        """All that have an access list, and perhaps others."""
        for chunk in self._chunks():
            for raw in _WITH_LISTS.findall(chunk):
                yield Line(self._source, raw)

    def _place(self, path: bytes) -> tuple[int, Line] | None:
        if self._size < _TOGETHER:
            raise Corrupt("the table of an index is none")
        slot = zlib.crc32(path) % self._size
        while True:
            some = os.pread(self._table, _TOGETHER * _PLACE, slot * _PLACE)
            for start in range(0, len(some), _PLACE):
                place = int.from_bytes(some[start : start + _PLACE], "little")
                if not place:
                    return None
                line = self._line(place - 1)
                if line.path == path:
                    return place - 1, line
            slot = (slot + len(some) // _PLACE) % self._size

    def _line(self, at: int) -> Line:
        raw = os.pread(self._lines, _HEAD, at)
        end = raw.find(b"\n")
        if end < 0:
            raw = os.pread(self._lines, LONGEST_LINE, at)
            end = raw.find(b"\n")
        return Line(self._source, raw[: end + 1])

    def _from(self, at: int) -> Iterator[Line]:
        for chunk in self._chunks(at):
            for raw in chunk.split(b"\n")[:-1]:
                yield Line(self._source, raw + b"\n")

    def _chunks(self, at: int = 0) -> Iterator[bytes]:
        """Of whole lines."""
        left, length = b"", _CHUNK if at == 0 else _CHUNK >> 4
        while piece := os.pread(self._lines, length, at):
            at += len(piece)
            whole, _, left = (left + piece).rpartition(b"\n")
            if whole:
                yield whole + b"\n"
