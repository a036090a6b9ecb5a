"""The swap file on an overlay's disk, which no copy of it keeps: what is in it is worth nothing after a boot,
and may hold what a program had in its memory and never wrote down.

The guest makes it anew where it is missing, and gives it a new header at every start: blocks of it that read
as zeros are as good as any.
"""

import os
from pathlib import Path

from skinnybox.errors import Corrupt, NotFound, Unsupported
from skinnybox.model import Instance, SwapKind
from skinnybox.overlays import inspect, space


def forget(disk: Path, instance: Instance) -> None:
    """Give back the blocks of that machine's swap file on a private copy of its overlay; they read as zeros
    then. Of a copy of a running machine they stay: its journal is not replayed, and what stands on the disk
    of that file may be of before it was made anew. They stay as well where the filesystem here gives none
    back. Idempotent.

    The guest says which blocks those are. One that lies takes them from its own copy."""
    if instance.swap is None or instance.swap.kind is not SwapKind.FILE:
        return
    try:
        pieces = inspect.read_swap(disk)
    except (Corrupt, NotFound, Unsupported):
        return
    with disk.open("r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for start, length in pieces:
            if start + length <= size and not space.punch(file.fileno(), start, length):
                return
