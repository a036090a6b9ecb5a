"""Bytes of a stranger as they come, from a file or from who unpacks it. Only in a confined process."""

import os
import stat
from collections.abc import Iterator

from skinnybox.errors import Corrupt

PIECE = 1 << 20


class Incoming:
    """Read forwards, once. What ends too early is Corrupt: a reader of archives must see their end."""

    def __init__(self, descriptor: int) -> None:
        info = os.fstat(descriptor)
        self.at = 0
        self._size = info.st_size if stat.S_ISREG(info.st_mode) else None
        self._file = os.fdopen(descriptor, "rb", buffering=PIECE, closefd=False)

    def exactly(self, length: int) -> bytes:
        found = self._file.read(length)
        self.at += len(found)
        if len(found) < length:
            raise self._cut()
        return found

    def pieces(self, length: int) -> Iterator[bytes]:
        """So many bytes."""
        while length:
            piece = self.exactly(min(PIECE, length))
            length -= len(piece)
            yield piece

    def skip(self, length: int) -> None:
        if self._size is None:
            for _ in self.pieces(length):
                pass
            return
        if self.at + length > self._size:
            raise self._cut()
        self.at += length
        self._file.seek(self.at)

    def rest(self) -> Iterator[bytes]:
        """To the end, whatever comes."""
        while piece := self._file.read(PIECE):
            self.at += len(piece)
            yield piece

    def _cut(self) -> Corrupt:
        end = self.at if self._size is None else self._size
        return Corrupt(
            f"it is cut off: it ends at byte {end}, in the middle of what is in it",
            hint="copy it once more, and compare the lengths",
        )
