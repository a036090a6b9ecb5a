"""A machine's overlay as something that stands still, for who reads it several times."""

from contextlib import ExitStack
from pathlib import Path

from skinnybox.fleet import power
from skinnybox.fleet.context import Context
from skinnybox.fleet.scratch_copy import copied
from skinnybox.fleet.view import MachineView
from skinnybox.model import DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replayed


def settled_disk(context: Context, machine: MachineView, held: ExitStack, operation: Operation) -> Path:
    """As long as it is `held`; of a machine that may run, a copy of one point in time."""
    if power.running(machine):
        copy = copied(context.host, machine, DiskKind.OVERLAY, context.folder, operation)
        return held.enter_context(copy)
    overlay = held.enter_context(context.host.open_overlay(machine.instance, operation))
    return held.enter_context(replayed(overlay, scratch=context.folder))
