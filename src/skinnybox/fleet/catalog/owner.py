"""Who is at work on something: a process, named so that no later one is taken for it."""

import os
from pathlib import Path

_DEAD = ("Z", "X")
"""States (proc(5)) in which only an exit code is left; whoever should ask for it may never do so."""


def process_mark(pid: int | None = None) -> str:
    """Names one process for good: boot, pid and start time."""
    pid = pid or os.getpid()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{pid}/{_fields(pid)[19]}"


def process_lives(mark: str) -> bool:
    try:
        pid = int(mark.split("/")[1])
        return process_mark(pid) == mark and _fields(pid)[0] not in _DEAD
    except (OSError, ValueError, IndexError):
        return False


def _fields(pid: int) -> list[str]:
    """Those behind the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
