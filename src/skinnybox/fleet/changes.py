"""What machines made their own: read from their overlays, or thrown away with them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from skinnybox.delta.listing import listed
from skinnybox.delta.seed_marks import expected
from skinnybox.delta.settled import Unsettled
from skinnybox.fleet.scratch_copy import copied
from skinnybox.fleet.stack_files import index_of
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
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
    """Its changes against its stack, in path order. Of the overlay itself, which nobody else may use
    meanwhile; of a machine that may run, of a copy of one point in time, made in `scratch`. `sealed` is the
    folder of its master."""
    with ExitStack() as held:
        index = held.enter_context(index_of(sealed.parents[1], sealed, machine.instance.stack))
        read = partial(_read, machine, index, include_seed=include_seed)
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
    machine: MachineView, index: Path, disk: Path, *, include_seed: bool
) -> AbstractContextManager[Iterator[Change]]:
    wanted = expected(machine.instance, machine.host_keys)
    return listed(disk, index, include_seed=include_seed, expected=wanted)


def _attended(found: Iterator[Change], operation: Operation) -> Iterator[Change]:
    for change in found:
        operation.check("changes")
        yield change
