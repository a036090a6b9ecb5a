"""Parts of what stopped machines made their own go, and all else stays: paths at which the master is to be
seen again, and copies that say nothing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox.delta.drop import building
from skinnybox.delta.rebase.masters import Files
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.settled import Unsettled
from skinnybox.errors import Blocked
from skinnybox.fleet import encrypted, half_restored, power, stack_files, thrown
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.context import Context
from skinnybox.fleet.lease import leased
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.building import Building
from skinnybox.model import DiskKind, Instance
from skinnybox.model.drop import Dropped, Gone, Wanted
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.journal import replayed_copy
from skinnybox.overlays.patch import put_message
from skinnybox.overlays.seed import seed_message
from skinnybox.printable import printable_path

MOST_NAMED = 10_000


def dropped(context: Context, machine: MachineView, wanted: Wanted, operation: Operation) -> Dropped:
    """All or nothing. NotFound, Blocked, Unsupported and NoSpace with the machine as it was. Where paths were
    named its next start applies all of its seed again, which may have been among them."""
    refuse(machine, wanted)
    doing = Doing.SLIM if wanted.idle else Doing.RESET
    with ExitStack() as held:
        lease = held.enter_context(leased(context.host, context.catalog, machine.instance, doing))
        instance = lease.instance
        files = held.enter_context(_sealed(context, instance))
        done: list[Dropped] = []
        after = [instance]

        def build(old: Path, new: Path) -> None:
            done.append(building.build(old, new, files, wanted, instance.stack.images, operation))
            if not wanted.idle:
                after.append(_next(instance, inspect.read_generation(new)))
                put_message(new, "seed", seed_message(after[-1]))

        size = instance.overlay.size
        context.host.rebuild_disks(
            instance, {DiskKind.OVERLAY: Building(size=size, build=build)}, operation, lambda: None
        )
        lease.commit(after[-1])
    return done[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Would:
    """What `dropped` would do: the first MOST_NAMED names that go, and the sum of all."""

    gone: tuple[Gone, ...]
    done: Dropped


def would(context: Context, machine: MachineView, wanted: Wanted, operation: Operation) -> Would:
    """Raises as `dropped`; nothing is changed."""
    refuse(machine, wanted)
    instance = machine.instance
    with ExitStack() as held:
        what = held.enter_context(_sealed(context, instance)), wanted, instance.stack.images, context.folder
        overlay = held.enter_context(context.host.open_overlay(instance, operation))
        try:
            return _gathered(held.enter_context(building.looked(overlay, *what)), operation)
        except Unsettled:
            settled = held.enter_context(replayed_copy(overlay))
            return _gathered(held.enter_context(building.looked(settled, *what)), operation)


def _gathered(found: Iterator[Gone | Dropped], operation: Operation) -> Would:
    gone: list[Gone] = []
    for each in found:
        operation.check("look")
        if isinstance(each, Dropped):
            return Would(gone=tuple(gone), done=each)
        if len(gone) < MOST_NAMED:
            gone.append(each)
    raise AssertionError("it ends with the sum")


def refuse(machine: MachineView, wanted: Wanted) -> None:
    """Blocked while it runs, and for what lies on its data disk; Unsupported for a disk that is not read."""
    instance, what = machine.instance, "slim" if wanted.idle else "reset"
    power.refuse_running(machine, what)
    half_restored.refuse(instance, f"a {what} would change one of them")
    thrown.refuse_in_memory(instance, what)
    encrypted.refuse_reading(instance, what)
    for folder in instance.data.folders if instance.data is not None else ():
        for path in wanted.paths:
            _refuse_data(instance, path, folder.strip("/").encode("utf-8", "surrogateescape"))


def _refuse_data(instance: Instance, path: bytes, folder: bytes) -> None:
    if path == folder or is_below(path, folder):
        raise Blocked(
            f"/{printable_path(path)} lies on the data disk of {instance.name}, and no reset touches that",
            hint="delete it in the machine",
        )


def _next(instance: Instance, on_disk: int) -> Instance:
    """In the next generation, also of the disk: who was killed before the commit has left a later one."""
    generation = max(instance.seed.generation, on_disk) + 1
    return replace(instance, seed=replace(instance.seed, generation=generation))


@contextmanager
def _sealed(context: Context, instance: Instance) -> Iterator[Files]:
    """Its stack, of which nobody removes the master meanwhile."""
    known = context.masters.kept(instance.stack.master.removeprefix("sha256:"))
    with known as master, stack_files.opened(context.folder, master, instance.stack) as files:
        yield files
