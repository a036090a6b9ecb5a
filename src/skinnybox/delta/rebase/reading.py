"""Files that were handed to a confined process, and to others beside it."""

import io
import os


class Reading(io.RawIOBase):
    """A descriptor that others read as well: they share its position, so it is left alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: "memoryview[int] | bytearray") -> int:  # type: ignore[override]
        found = os.pread(self._descriptor, len(target), self._at)
        target[: len(found)] = found
        self._at += len(found)
        return len(found)


def buffered(descriptor: int) -> io.BufferedReader:
    return io.BufferedReader(Reading(descriptor), 1 << 18)
