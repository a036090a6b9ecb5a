"""The programs that check, alter and grow an ext4, run on a private disk that a guest wrote."""

import os
from collections.abc import Sequence
from pathlib import Path

from skinnybox import run
from skinnybox.sandbox.confinement import path_of
from skinnybox.sandbox.process import confined

_THREADS = 1 + os.sysconf("SC_NPROCESSORS_CONF")
"""Since 1.46 they read the bitmaps of 32 groups and more (4 GiB) with a thread for each processor, whatever
they are asked to do, and end where they may have none."""


def on_disk(
    descriptor: int,
    *words: str,
    cpu_seconds: int,
    ok: Sequence[int] = (0,),
    folder: Path | None = None,
    more: Sequence[str] = (),
) -> run.Ended:
    """PROGRAM OPTION..., then the disk, then `more`. It may write to the disk, and make files in `folder`.
    The disk is somebody else's afterwards where root asked. Raises CommandFailed, TimedOut, NotStarted."""
    return confined(
        [*words, path_of(descriptor), *more],
        cpu_seconds=cpu_seconds,
        file_size=os.fstat(descriptor).st_size,
        threads=_THREADS,
        ok=ok,
        owned=[descriptor],
        folder=folder,
    )
