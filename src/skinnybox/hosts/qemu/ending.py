"""The end of a QEMU that is ours."""

import contextlib
from pathlib import Path

from skinnybox import process
from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.guest_io.qmp import Monitor


def end(machine: process.Process, run_folder: Path, patience: float = 5.0) -> None:
    """QEMU is told to quit, and killed when it does not within `patience` seconds. Idempotent."""
    with process.held(machine) as pidfd:
        if pidfd is None:
            return
        with contextlib.suppress(SkinnyboxError), Monitor(run_folder, timeout=patience) as monitor:
            monitor.execute("quit")
        if not process.ended(pidfd, patience):
            process.kill(pidfd)
            process.ended(pidfd, 10.0)
    process.reap(machine.pid)
