"""What survives a power cut: written through to the disk, and not only to the system's memory."""

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """What it holds is on the disk when this returns."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """The names in it are on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
