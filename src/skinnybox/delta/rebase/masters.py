"""Two masters opened once, for the plans of all machines that move from the one to the other.

What is packed is unpacked into files that have no name; each reader goes through them at its own pace.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from skinnybox.errors import NotFound
from skinnybox.masters import index
from skinnybox.masters.catalogue import INDEX, folder
from skinnybox.masters.system import kept
from skinnybox.model import Master


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Descriptors: the index and the record of the system, both unpacked, and the first image."""

    index: int
    system: int
    image: int

    @property
    def all(self) -> tuple[int, int, int]:
        return self.index, self.system, self.image


@contextlib.contextmanager
def opened(store: Path, master: Master, scratch: Path) -> Iterator[Files]:
    """Nobody removes it meanwhile. Raises NotFound, Corrupt, Unsupported."""
    place = folder(store, master)
    with ExitStack() as held:
        entries = held.enter_context(_unnamed(scratch, lambda file: index.unpack(place / INDEX, file)))
        text = kept.text_of(store, master)
        system = held.enter_context(_unnamed(scratch, lambda file: file.write(text)))

        try:
            image = os.open(place / master.images[0].file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"{master.reference} has no image any more") from error
        held.callback(os.close, image)
        yield Files(index=entries, system=system, image=image)


@contextlib.contextmanager
def _unnamed(scratch: Path, fill: Callable[[BinaryIO], object]) -> Iterator[int]:
    with tempfile.TemporaryFile(dir=scratch) as file:
        fill(file)
        file.flush()
        yield file.fileno()


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
