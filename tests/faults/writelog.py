"""What a disk was told before a power cut: a log in the format of Linux's dm-log-writes, and its replay.

A disk may lose what was written after the last flush that ended, in any choice and down to single blocks;
what was written before it stays. (Format: 512-byte sectors; a superblock, then for each request one sector of
head and its data.)
"""

import os
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
BLOCK = 4096
"""What a disk writes whole. ext4 counts on it: its superblock, with one checksum, spans two sectors."""
BEFORE_ALL = -1
"""In place of a flush: nothing was flushed yet."""
_MAGIC = 0x6A736677736872
_FLUSH, _FUA, _DISCARD, _MARK = 1, 2, 4, 8
_SUPER, _HEAD = struct.Struct("<QQQI"), struct.Struct("<QQQQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of the guest, in the order in which they ended. `at` and `length` are bytes of the disk,
    `data_at` is where the log keeps its data."""

    at: int
    length: int
    flags: int
    data_at: int

    @property
    def flush(self) -> bool:
        return bool(self.flags & (_FLUSH | _FUA))

    @property
    def discard(self) -> bool:
        return bool(self.flags & _DISCARD)


def logged(log: Path) -> int:
    """How many requests are in the log for sure: as many as at the guest's last flush. 0 for an empty log."""
    head = _start(log)
    if len(head) < _SUPER.size:
        return 0
    magic, _, count, size = _SUPER.unpack(head)
    assert (magic, size) == (_MAGIC, SECTOR), "not a log of writes"
    return int(count)


def _start(log: Path) -> bytes:
    with log.open("rb") as file:
        return file.read(_SUPER.size)


def requests(log: Path) -> list[Request]:
    """All of them."""
    found, position = [], SECTOR
    with log.open("rb") as file:
        for number in range(logged(log)):
            file.seek(position)
            sector, count, flags, _ = _HEAD.unpack(file.read(_HEAD.size))
            assert flags & ~15 == 0, f"request {number} of the log is none"
            at, length = sector * SECTOR, count * SECTOR
            found.append(Request(at=at, length=length, flags=flags, data_at=position + SECTOR))
            position += SECTOR + (0 if flags & _DISCARD else length)
    return found


class Replay:
    """A disk as it was before the first request, brought forward flush by flush. `disk` is written to."""

    def __init__(self, disk: Path, log: Path) -> None:
        self._disk, self._log = disk, log
        self._requests = requests(log)
        self._done = 0
        self.flushes = [number for number, request in enumerate(self._requests) if request.flush]

    def forward(self, flush: int) -> None:
        """Apply all up to this flush (an element of `flushes`); only ever forward."""
        assert self._done <= flush + 1
        with self._disk.open("r+b") as disk, self._log.open("rb") as log:
            for request in self._requests[self._done : flush + 1]:
                for at, data in _pieces(request, log.fileno()):
                    disk.seek(at)
                    disk.write(data)
        self._done = flush + 1

    def tail(self) -> Sequence[Request]:
        """What came after the last applied flush, up to the next."""
        later = self._requests[self._done :]
        return later[: next((n for n, request in enumerate(later) if request.flush), len(later))]

    def lose(self, disk: Path, chance: random.Random) -> None:
        """Apply to `disk`, a copy, some of what was not flushed: requests at random, one in four torn."""
        with disk.open("r+b") as file, self._log.open("rb") as log:
            kept = chance.choice((0.0, 0.5, 0.9))
            for request in self.tail():
                if chance.random() >= kept:
                    continue
                torn = chance.random() < 0.25
                for at, data in _pieces(request, log.fileno()):
                    for start, end in _blocks(at, at + len(data)):
                        if not torn or chance.random() < 0.5:
                            file.seek(start)
                            file.write(data[start - at : end - at])


def _blocks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The disk's blocks that lie between, the first and the last cut to fit."""
    for block in range(start // BLOCK * BLOCK, end, BLOCK):
        yield max(start, block), min(end, block + BLOCK)


def _pieces(request: Request, log: int) -> Iterator[tuple[int, bytes]]:
    """(place, bytes) of a request, a MiB at most. What is discarded reads as zeros."""
    step = 1 << 20
    for offset in range(0, request.length, step):
        size = min(step, request.length - offset)
        data = bytes(size) if request.discard else os.pread(log, size, request.data_at + offset)
        yield request.at + offset, data
