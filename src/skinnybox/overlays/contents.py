"""The content of one file, taken out of the file that all contents of a list of edits lie in."""

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from skinnybox.errors import Corrupt, of_system
from skinnybox.overlays.edits import RUN, Holed, Stretch

_PIECE = 1 << 20


def put(contents: int, content: Stretch | Holed, path: Path) -> int:
    """Into a new file, holes and all; how many bytes were written. Corrupt for what is not there."""
    size = content.length if isinstance(content, Stretch) else content.size
    with path.open("xb", buffering=0) as file:
        try:
            os.truncate(file.fileno(), size)
            for offset, stretch in _runs(contents, content):
                for piece in _pieces(contents, stretch):
                    file.seek(offset)
                    _write(file, piece)
                    offset += len(piece)
        except OSError as error:
            raise of_system(error, "what an overlay is to hold") from error
        os.fchmod(file.fileno(), 0o644)
    return stored(content)


def stored(content: Stretch | Holed) -> int:
    """Bytes of it that are kept."""
    return content.length if isinstance(content, Stretch) else content.data.length


def _runs(contents: int, content: Stretch | Holed) -> Iterator[tuple[int, Stretch]]:
    if isinstance(content, Stretch):
        yield 0, content
        return
    at, end = content.data.start, content.data.start + content.data.length
    for piece in _pieces(contents, content.runs, _PIECE // RUN.size * RUN.size):
        for offset, length in RUN.iter_unpack(piece):
            if length > end - at or offset + length > content.size:
                raise Corrupt("the runs of a content do not fit it")
            yield offset, Stretch(at, length)
            at += length


def _write(file: FileIO, piece: bytes) -> None:
    while piece:
        piece = piece[file.write(piece) :]


def _pieces(descriptor: int, stretch: Stretch, most: int = _PIECE) -> Iterator[bytes]:
    at, end = stretch.start, stretch.start + stretch.length
    while at < end:
        piece = os.pread(descriptor, min(most, end - at), at)
        if not piece:
            raise Corrupt("a content ends before its end")
        yield piece
        at += len(piece)
