"""What machines made their own: read from their overlays, or thrown away with them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from skinnybox.delta.listing import Unsettled, listed
from skinnybox.delta.seed_marks import expected
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.workspace import at_work
from skinnybox.model import Change
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replay, replayed_copy


@contextmanager
def changes_of(
    host: Host, machine: MachineView, sealed: Path, *, include_seed: bool, operation: Operation
) -> Iterator[Iterator[Change]]:
    """Its changes against the master in `sealed`, in path order; nobody else may use it meanwhile."""
    with host.open_overlay(machine.instance, operation) as overlay, ExitStack() as held:
        read = partial(_read, machine, sealed, include_seed=include_seed)
        try:
            found = held.enter_context(read(overlay))
        except Unsettled:
            found = held.enter_context(read(held.enter_context(replayed_copy(overlay))))
        yield _attended(found, operation)


@contextmanager
def changes_of_copy(
    host: Host,
    machine: MachineView,
    sealed: Path,
    scratch: Path,
    *,
    include_seed: bool,
    operation: Operation,
) -> Iterator[Iterator[Change]]:
    """The same of a machine that may run: of a copy of one point in time, made in `scratch` for the block."""
    with TemporaryDirectory(dir=scratch, prefix=".copy-", suffix=".new") as folder, ExitStack() as held:
        held.enter_context(at_work(Path(folder)))
        copy = Path(folder, "overlay.img")
        host.copy_overlay(machine.instance, copy, operation)
        # Of what is mounted the journal is always to be replayed; of a clean one e2fsck has nothing to do.
        replay(copy)
        found = held.enter_context(_read(machine, sealed, copy, include_seed=include_seed))
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
