"""Writing into an open file what a stranger's archive says is in a disk. Only in a confined process."""

import os
from collections.abc import Iterable, Iterator

from skinnybox.errors import Corrupt, of_system

_EMPTY = 64 << 10
_TELL = 32 << 20
_ZEROS = bytes(_EMPTY)


def written(target: int, runs: Iterable[tuple[int, bytes]], limit: int) -> Iterator[int]:
    """Write (offset, bytes) each, leaving holes for zeros; how much was written, now and then and at last.

    The file is new, so what is not written are zeros."""
    done = seen = 0
    for offset, piece in runs:
        if offset + len(piece) > limit:
            raise Corrupt(f"it holds more than the {limit} bytes that it may")
        for at in range(0, len(piece), _EMPTY):
            part = piece[at : at + _EMPTY]
            if part != _ZEROS[: len(part)]:
                _write(target, part, offset + at)
                done += len(part)
        seen += len(piece)
        if seen >= _TELL:
            seen = 0
            yield done
    yield done


def _write(target: int, part: bytes, offset: int) -> None:
    while part:
        try:
            done = os.pwrite(target, part, offset)
        except OSError as error:  # not the archive's fault, and not to be told as that
            raise of_system(error, "what is unpacked") from error
        part, offset = part[done:], offset + done


def placed(pieces: Iterable[bytes], offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """One behind the other, from an offset."""
    for piece in pieces:
        yield offset, piece
        offset += len(piece)
