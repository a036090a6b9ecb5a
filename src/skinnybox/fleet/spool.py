"""One input for several readers: taken once into a file without a name, read by each from its beginning."""

import os
import select
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from typing import IO

from skinnybox.errors import NoSpace, UsageError
from skinnybox.operation import Operation
from skinnybox.sizes import GIB, format_size

MOST = GIB
_PIECE = 1 << 20
_WATCH = 0.1


class Spool:
    """A file of ours that is gone with us."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @contextmanager
    def reader(self) -> Iterator[int]:
        """A descriptor of its own, at the beginning. Thread-safe."""
        descriptor = os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def spooled(source: int, operation: Operation, most: int = MOST) -> Iterator[Spool]:
    """All that this descriptor gives, until its end. UsageError when that is more than `most` bytes, NoSpace,
    Cancelled."""
    with tempfile.TemporaryFile(buffering=0) as file:
        try:
            _fill(file, source, operation, most)
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
            hint = "TMPDIR names a folder with room; one machine at a time needs none"
            raise NoSpace(f"no room in {tempfile.gettempdir()} to keep standard input", hint=hint) from error
        yield Spool(file)


def _fill(file: IO[bytes], source: int, operation: Operation, most: int) -> None:
    taken = 0
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    while True:
        operation.step("reading standard input to its end", done=taken, unit="bytes")
        if not waiting.poll(_WATCH * 1000):
            continue
        piece = os.read(source, _PIECE)
        if not piece:
            return
        taken += len(piece)
        if taken > most:
            raise UsageError(
                f"standard input is larger than {format_size(most)}, which is the most several machines get",
                hint="one machine at a time takes any amount",
            )
        left = memoryview(piece)
        while left:
            left = left[file.write(left) :]
