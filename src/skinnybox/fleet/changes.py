"""What machines made their own: read from their overlays, or thrown away with them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from skinnybox.delta.listing import listed
from skinnybox.delta.seed_marks import expected
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.workspace import at_work
from skinnybox.model import Change
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import is_clean
from skinnybox.overlays.journal import replay, replayed


@contextmanager
def changes_of(
    host: Host, machine: MachineView, sealed: Path, *, include_seed: bool, operation: Operation
) -> Iterator[Iterator[Change]]:
    """Its changes against the master in `sealed`, in path order; nobody else may use it meanwhile."""
    wanted = expected(machine.instance, machine.host_keys)
    with (
        host.open_overlay(machine.instance, operation) as overlay,
        replayed(overlay) as image,
        listed(image, sealed / INDEX, include_seed=include_seed, expected=wanted) as found,
    ):
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
        if not is_clean(copy):
            replay(copy)
        wanted = expected(machine.instance, machine.host_keys)
        with listed(copy, sealed / INDEX, include_seed=include_seed, expected=wanted) as found:
            yield _attended(found, operation)


def _attended(found: Iterator[Change], operation: Operation) -> Iterator[Change]:
    for change in found:
        operation.check("changes")
        yield change
