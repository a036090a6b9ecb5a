"""What machines made their own: read from their overlays, or thrown away with them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from skinnybox.delta.listing import listed
from skinnybox.delta.seed_marks import expected
from skinnybox.delta.settled import Unsettled
from skinnybox.fleet.scratch_copy import copied
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.masters.catalogue import INDEX
from skinnybox.model import Change, DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replayed_copy


@contextmanager
def changes_of(
    host: Host,
    machine: MachineView,
    sealed: Path,
    scratch: Path | None,
    *,
    include_seed: bool,
    operation: Operation,
) -> Iterator[Iterator[Change]]:
    """Its changes against the master in `sealed`, in path order. Of the overlay itself, which nobody else may
    use meanwhile; of a machine that may run, of a copy of one point in time, made in `scratch`."""
    read = partial(_read, machine, sealed, include_seed=include_seed)
    with ExitStack() as held:
        if scratch is not None:
            found = held.enter_context(
                read(held.enter_context(copied(host, machine, DiskKind.OVERLAY, scratch, operation)))
            )
        else:
            overlay = held.enter_context(host.open_overlay(machine.instance, operation))
            try:
                found = held.enter_context(read(overlay))
            except Unsettled:
                found = held.enter_context(read(held.enter_context(replayed_copy(overlay))))
        yield _attended(found, operation)


def _read(
    machine: MachineView, sealed: Path, disk: Path, *, include_seed: bool
) -> AbstractContextManager[Iterator[Change]]:
    wanted = expected(machine.instance, machine.host_keys)
    return listed(disk, sealed / INDEX, include_seed=include_seed, expected=wanted)


def _attended(found: Iterator[Change], operation: Operation) -> Iterator[Change]:
    for change in found:
        operation.check("changes")
        yield change
