"""Who is at work on something: a process, named so that no later one is taken for it."""

import os
from pathlib import Path


def process_mark(pid: int | None = None) -> str:
    """Names one process for good: boot, pid and start time."""
    pid = pid or os.getpid()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{boot}/{pid}/{start}"


def process_lives(mark: str) -> bool:
    try:
        return process_mark(int(mark.split("/")[1])) == mark
    except (OSError, ValueError, IndexError):
        return False
