"""Bounded reads of the file that holds a volume."""

import os

from skinnybox.errors import Corrupt

_CHUNK = 32 << 10
_CHUNKS = 256


class Device:
    """Reads within `size` bytes of an open file from `start`; what lies outside is Corrupt.

    pread, not mmap: a disk that cannot be read must raise, and a mapping would kill us with SIGBUS.
    """

    def __init__(self, descriptor: int, size: int, start: int = 0) -> None:
        self.size = size
        self._start = start
        self._descriptor = descriptor
        self._chunks: dict[int, bytes] = {}

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Corrupt(f"bytes {offset} to {offset + length} lie outside a volume of {self.size}")
        try:
            data = os.pread(self._descriptor, length, self._start + offset)
        except OSError as error:
            raise Corrupt(f"{length} bytes at {offset} cannot be read: {error.strerror}") from error
        if len(data) != length:
            raise Corrupt(f"the volume ends within {length} bytes at {offset}")
        return data

    def cached(self, offset: int, length: int) -> bytes:
        """For small records of which neighbours will be asked for soon; at most 8 MiB are kept."""
        start = offset - offset % _CHUNK
        if offset < 0 or offset + length > min(start + _CHUNK, self.size):
            return self.read(offset, length)
        chunk = self._chunks.get(start)
        if chunk is None:
            if len(self._chunks) >= _CHUNKS:
                self._chunks.clear()
            chunk = self._chunks[start] = self.read(start, min(_CHUNK, self.size - start))
        return chunk[offset - start : offset - start + length]
