"""The bytes of virtual disks: sparse files, holes kept in every copy."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

_PIECE = 1 << 20
_DIRT = b"SOMEBODY ELSE'S OLD DATA \x53\xef\n"


def blank(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def dirty(path: Path, size: int, leftover: Path | None) -> None:
    """As a volume that was another tenant's: his bytes, or a pattern at its ends and where ext4 looks."""
    if leftover is not None and leftover.exists():
        leftover.rename(path)
    with path.open("r+b" if path.exists() else "wb") as file:
        kept = file.seek(0, os.SEEK_END)
        file.truncate(size)
        for start in (0, 128 << 20, size - _PIECE) if kept == 0 else ():
            if 0 <= start <= size - _PIECE:
                file.seek(start)
                file.write((_DIRT * (_PIECE // len(_DIRT) + 1))[:_PIECE])


def copy(source: Path, target: Path) -> None:
    """`target` becomes at least as long; only data is copied, over zeros."""
    with source.open("rb") as reading, target.open("r+b") as writing:
        if writing.seek(0, os.SEEK_END) < reading.seek(0, os.SEEK_END):
            writing.truncate(reading.tell())
        for start, end in extents(reading.fileno()):
            while start < end:
                start += os.copy_file_range(
                    reading.fileno(), writing.fileno(), end - start, start, start
                )  # fmt: skip


def extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the file's data."""
    end = 0
    while True:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def written(path: Path, unit: int) -> int:
    """Bytes of `unit`-sized blocks that hold data."""
    with path.open("rb") as file:
        blocks = set[int]()
        for start, end in extents(file.fileno()):
            blocks.update(range(start // unit, -(-end // unit)))
    return len(blocks) * unit
