"""Disks that become larger while their machine runs: what a host that can do it promises (base.py)."""

from typing import Protocol

from skinnybox.errors import Unsupported
from skinnybox.model import DiskKind, Instance
from skinnybox.operation import Operation


class Growing(Protocol):
    grows_running: bool = False
    """Whether it can. Not in `features`, which some hosts find out by trying."""

    def enlarge_running(
        self, instance: Instance, size: int, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> None:
        """Give a disk of a machine that runs `size` bytes, which its hardware shows it at once; what its
        guest makes of that is its own affair. Never smaller. Idempotent: it also finishes what was killed
        half-way. Reserved space stays reserved. Conflict when the machine does not run, or when its disk is
        being copied; NoSpace with nothing touched; Unsupported, as by `grows_running`, or where this start
        of it cannot."""
        raise Unsupported(
            "disks of this host grow only while their machine is off", hint=f"skinnybox stop {instance.name}"
        )
