"""A copy of a disk to read in, gone after it: of a machine that may run, and so of one point in time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.masters.workspace import at_work
from skinnybox.model import DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replay


@contextmanager
def copied(
    host: Host, machine: MachineView, disk: DiskKind, scratch: Path, operation: Operation
) -> Iterator[Path]:
    """A file in the folder `scratch`, which needs the room. NoSpace."""
    with TemporaryDirectory(dir=scratch, prefix=".copy-", suffix=".new") as folder, at_work(Path(folder)):
        copy = Path(folder, f"{disk}.img")
        host.copy_overlay(machine.instance, copy, operation, disk)
        # Of what is mounted the journal is always to be replayed; of a clean one e2fsck has nothing to do.
        replay(copy)
        yield copy
