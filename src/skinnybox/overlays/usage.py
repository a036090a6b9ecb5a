"""What takes the room of a disk that a guest wrote to: counted by a confined process, checked here.

A guest may make as many folders as its disk holds: of all of them only those on the way to the one that is
looked at are kept, and the largest so far.
"""

import heapq
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinnybox.errors import Corrupt
from skinnybox.ext4 import Node, Volume, open_descriptor
from skinnybox.model import DiskKind
from skinnybox.model.diskuse import DiskUse, Heavy
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

MOST_ROWS = 1000
_TOPS = {DiskKind.OVERLAY: b"upper", DiskKind.DATA: b"folders"}
_PARTS = {
    b"upper": "files", b"folders": "files", b"work": "work", b"thrown": "thrown", b"swap": "swap",
    b"skinnybox": "skinnybox",
}  # fmt: skip
"""What each name in the root of such a disk is for."""
_OTHER, _JOURNAL, _REST = "other", "journal", "filesystem"
_NAMES = {*_PARTS.values(), _OTHER, _JOURNAL, _REST}
_JOURNAL_INODE, _IN_BLOCKS = 8, 0x40000
_SECTOR = 512
_BOUNDS = Bounds(cpu_seconds=300, output=8 << 20)
_TYPES = frozenset("-dlcbps")
_LARGEST = 1 << 63
_PATH_LIMIT = 4096


def read_use(disk: Path, kind: DiskKind, *, depth: int, rows: int) -> DiskUse:
    """Of a clean disk. Of folders those down to `depth` are told by themselves, of them and of files the
    `rows` largest. Corrupt, also for a disk made to hurt; NotFound."""
    if not 1 <= rows <= MOST_ROWS or depth < 1:
        raise ValueError(f"{rows} rows down to {depth}")
    with opened(disk) as descriptor:
        words = [str(descriptor), kind.value, str(depth), str(rows)]
        with inquire(__name__, words, subject=str(disk), bounds=_BOUNDS, pass_fds=[descriptor]) as answers:
            return _checked(list(answers), rows)


def _checked(values: list[Any], rows: int) -> DiskUse:
    try:
        (size, free, reserved, unread), parts, *found = values
        numbers = [size, free, reserved, unread, *(taken for _, taken in parts)]
        if not all(map(_is_number, numbers)) or free > size or len(found) > rows:
            raise ValueError("no such numbers")
        if len(parts) > len(_NAMES) or {name for name, _ in parts} - _NAMES:
            raise ValueError("no such parts")
        return DiskUse(
            size=size,
            free=free,
            reserved=min(reserved, free),
            parts=tuple((name, taken) for name, taken in parts),
            largest=tuple(map(_heavy, found)),
            unread=unread,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise Corrupt("the reader of the disk gave no proper answer") from error


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _heavy(value: Any) -> Heavy:
    letter, size, count, path = value
    raw = path.encode("utf-8", "surrogateescape")
    if letter not in _TYPES or not (_is_number(size) and _is_number(count)):
        raise ValueError(f"no row: {value!r:.80}")
    if len(raw) > _PATH_LIMIT or b"\0" in raw:
        raise ValueError("no path")
    return Heavy(path=raw, type=letter, size=size, count=count)


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    descriptor, kind, depth, rows = arguments
    answer(_told(open_descriptor(int(descriptor)), DiskKind(kind), int(depth), int(rows)))


@dataclass(slots=True)
class _Open:
    """A folder that is being looked into. `most` is the largest of what is told by itself in it."""

    path: bytes
    depth: int
    size: int
    count: int = 1
    most: int = 0


class _Counting:
    """One walk over a disk."""

    def __init__(self, volume: Volume, top: bytes, depth: int, rows: int) -> None:
        self.parts: dict[str, int] = {}
        self.unread = 0
        self._volume, self._top, self._depth, self._rows = volume, top, depth, rows
        self._open: list[_Open] = []
        self._heap: list[tuple[int, bytes, str, int]] = []
        self._linked: set[int] = set()

    def run(self) -> None:
        for path, node in self._volume.walk(b"", self._cut):
            while self._open and not _is_below(path, self._open[-1].path):
                self._close()
            if path:
                self._meet(path, node)
        while self._open:
            self._close()

    def largest(self) -> list[tuple[int, bytes, str, int]]:
        return sorted(self._heap, key=lambda row: (-row[0], row[1]))

    def _cut(self, path: bytes, why: str) -> None:
        self.unread += 1

    def _meet(self, path: bytes, node: Node) -> None:
        size = self._taken(node)
        top = path.partition(b"/")[0]
        part = _PARTS.get(top, _OTHER)
        self.parts[part] = self.parts.get(part, 0) + size
        if top != self._top:
            return
        depth = path.count(b"/")
        if node.type == "d":
            self._open.append(_Open(path, depth, size))
            return
        self._offer(size, path, node.type, 1)
        self._add(size, 1, size)

    def _close(self) -> None:
        folder = self._open.pop()
        # What is nearly all one thing below is told as that.
        told = 1 <= folder.depth <= self._depth and folder.most * 10 < folder.size * 9
        if told:
            self._offer(folder.size, folder.path, "d", folder.count)
        self._add(folder.size, folder.count, folder.size if told else folder.most)

    def _add(self, size: int, count: int, told: int) -> None:
        if self._open:
            above = self._open[-1]
            above.size += size
            above.count += count
            above.most = max(above.most, told)

    def _offer(self, size: int, path: bytes, letter: str, count: int) -> None:
        if size:
            heapq.heappush(self._heap, (size, path, letter, count))
            if len(self._heap) > self._rows:
                heapq.heappop(self._heap)

    def _taken(self, node: Node) -> int:
        """A file with several names takes its room once."""
        if node.links > 1 and node.type != "d":
            if node.inode in self._linked:
                return 0
            self._linked.add(node.inode)
        unit = self._volume.superblock.block_size if node.flags & _IN_BLOCKS else _SECTOR
        return node.sectors * unit


def _told(volume: Volume, kind: DiskKind, depth: int, rows: int) -> Iterator[list[Any]]:
    counting = _Counting(volume, _TOPS[kind], depth, rows)
    counting.run()
    block = volume.superblock
    reserved = min(block.reserved_blocks, block.free_blocks) * block.block_size
    parts = {**counting.parts, _JOURNAL: _journal(volume)}
    parts[_REST] = max(0, volume.size - volume.free_bytes - sum(parts.values()))
    yield [volume.size, volume.free_bytes, reserved, counting.unread]
    yield [[name, taken] for name, taken in parts.items()]
    for size, path, letter, count in counting.largest():
        yield [letter, size, count, os.fsdecode(_called(path, kind))[:_PATH_LIMIT]]


def _journal(volume: Volume) -> int:
    try:
        return volume.node(_JOURNAL_INODE).sectors * _SECTOR
    except Corrupt:  # there is none
        return 0


def _called(path: bytes, kind: DiskKind) -> bytes:
    """As the machine sees it."""
    below = path.partition(b"/")[2]
    if kind is DiskKind.OVERLAY:
        return b"/" + below
    folder, slash, rest = below.partition(b"/")
    return b"/" + folder.replace(b"%", b"/") + slash + rest


def _is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder + b"/") if folder else bool(path)
