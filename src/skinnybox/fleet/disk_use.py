"""What takes the room of a machine's disk: read from outside, as it is at one point in time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from skinnybox.delta.drop import building
from skinnybox.errors import Conflict, Corrupt, NoSpace, NotFound, Unsupported
from skinnybox.fleet import encrypted, power, stack_files, thrown
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.scratch_copy import copied
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.model import DiskKind, Instance
from skinnybox.model.diskuse import DiskUse
from skinnybox.model.drop import Dropped, Wanted
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replayed
from skinnybox.overlays.usage import read_use


def use_of(
    host: Host,
    masters: Masters,
    machine: MachineView,
    disk: DiskKind,
    scratch: Path,
    operation: Operation,
    *,
    depth: int,
    rows: int,
) -> DiskUse:
    """See overlays.usage.read_use. Of a machine that runs it is a copy, made in `scratch` and gone after it,
    which needs its room; a copy has no files that are deleted and still open. Unsupported, and NotFound, for
    what has nothing that could be read here."""
    if disk is DiskKind.OVERLAY:
        thrown.refuse_in_memory(machine.instance, "that")
        encrypted.refuse_reading(machine.instance, "usage")
    if disk not in machine.instance.disks:
        raise NotFound(f"{machine.name} has no data disk", hint="without --data its overlay is looked at")
    how = copied if power.running(machine) else _stopped
    with how(host, machine, disk, scratch, operation) as file:
        use = read_use(file, disk, depth=depth, rows=rows)
        if disk is not DiskKind.OVERLAY:
            return use
        return replace(use, idle=_idle(masters, machine.instance, file, scratch, operation))


def _idle(
    masters: Masters, instance: Instance, disk: Path, scratch: Path, operation: Operation
) -> tuple[int, int] | None:
    """What `slim` would win. What it would refuse, and a master that is gone, are no reason to tell nothing
    of the disk."""
    wanted, stack = Wanted(idle=True), instance.stack
    try:
        with (
            masters.kept(stack.master.removeprefix("sha256:")) as master,
            stack_files.opened(scratch, master, stack) as files,
            building.looked(disk, files, wanted, stack.images, scratch) as found,
        ):
            for each in found:
                operation.check("read")
                if isinstance(each, Dropped):
                    return each.count, each.freed
    except (Conflict, Corrupt, NoSpace, NotFound, Unsupported):
        pass
    return None


@contextmanager
def _stopped(
    host: Host, machine: MachineView, disk: DiskKind, scratch: Path, operation: Operation
) -> Iterator[Path]:
    with host.open_overlay(machine.instance, operation, disk) as file, replayed(file) as settled:
        yield settled
