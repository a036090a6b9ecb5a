"""What survives a power cut: written through to the disk, and not only to the system's memory."""

import os
from pathlib import Path


def sync(place: Path) -> None:
    """What is in a file, or which names are in a folder, is on the disk when this returns."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
