"""Disks to read in: of a machine that runs a copy of one point in time, gone after it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from skinnybox.fleet import power
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.masters.workspace import at_work
from skinnybox.model import DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replay, replayed


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


@contextmanager
def readable(
    host: Host, machine: MachineView, scratch: Path, operation: Operation, *, data: bool
) -> Iterator[dict[DiskKind, Path]]:
    """Its overlay, and with `data` its data disk: clean images, which stay as they are during the block."""
    with ExitStack() as held:
        found = dict[DiskKind, Path]()
        for kind in (DiskKind.OVERLAY, *((DiskKind.DATA,) if data else ())):
            if power.running(machine):
                found[kind] = held.enter_context(copied(host, machine, kind, scratch, operation))
            else:
                disk = held.enter_context(host.open_overlay(machine.instance, operation, kind))
                found[kind] = held.enter_context(replayed(disk))
        yield found
