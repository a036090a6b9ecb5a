"""What machines made their own: read from their overlays, or thrown away with them."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from skinnybox.delta.listing import Sealed, looked
from skinnybox.delta.seed_marks import expected
from skinnybox.delta.settled import Unsettled
from skinnybox.fleet import encrypted, power, thrown
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.scratch_copy import copied
from skinnybox.fleet.stack_files import index_of
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.layout import SYSTEM
from skinnybox.model import Change, ChangeKind, DiskKind, Look
from skinnybox.model.drop import path_of
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replayed_copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Also what is as the seed has it; also what is there and differs in nothing. Only at `paths`, where any
    are named: as `asked_paths` has them."""

    seed: bool = False
    same: bool = False
    paths: tuple[bytes, ...] = ()


@contextmanager
def looked_at(
    host: Host,
    machine: MachineView,
    sealed: Sealed,
    scratch: Path,
    operation: Operation,
    asked: Asked = Asked(),
) -> Iterator[Look]:
    """Its changes against its stack, in path order. Of the overlay itself, which nobody else may use
    meanwhile; of a machine that may run, of a copy of one point in time, made in `scratch`."""
    thrown.refuse_in_memory(machine.instance, "changes")
    encrypted.refuse_reading(machine.instance, "changes")
    read = partial(_read, machine, sealed, asked)
    with ExitStack() as held:
        if power.running(machine):
            copy = held.enter_context(copied(host, machine, DiskKind.OVERLAY, scratch, operation))
            found = held.enter_context(read(copy))
        else:
            overlay = held.enter_context(host.open_overlay(machine.instance, operation))
            try:
                found = held.enter_context(read(overlay))
            except Unsettled:
                found = held.enter_context(read(held.enter_context(replayed_copy(overlay))))
        yield below(replace(found, changes=attended(found.changes, operation)))


@contextmanager
def sealed_of(masters: Masters, machine: MachineView) -> Iterator[Sealed]:
    """What there is of its stack, for who asks a confined process about the machine within the block."""
    master = masters.by_id(machine.instance.stack.master)
    folder = masters.folder(master)
    kept = folder / SYSTEM
    with index_of(folder.parents[1], folder, machine.instance.stack) as index:
        yield Sealed(
            index=index,
            image=folder / master.images[0].file,
            system=kept if kept.exists() else None,
        )


def _read(machine: MachineView, sealed: Sealed, asked: Asked, disk: Path) -> AbstractContextManager[Look]:
    wanted = expected(machine.instance, machine.host_keys)
    return looked(
        disk, sealed, include_seed=asked.seed, include_same=asked.same, expected=wanted, paths=asked.paths
    )


def asked_paths(paths: Iterable[str]) -> tuple[bytes, ...]:
    """Absolute ones, without the leading slash; b"" is the root. UsageError for what is no path."""
    return tuple(b"" if not path.strip("/") else path_of(path) for path in paths)


def below(look: Look) -> Look:
    """Of it what concerns the paths that were asked for, and what is below them: also a folder above that is
    gone, or is none any more. Of all where none were."""
    if not look.paths:
        return look

    def concerns(change: Change) -> bool:
        own, folder = change.path, change.path + b"/"
        whole = change.kind in (ChangeKind.DELETED, ChangeKind.TYPE, ChangeKind.UNREAD)
        return any(
            not each or own == each or own.startswith(each + b"/") or (whole and each.startswith(folder))
            for each in look.paths
        )

    return replace(look, facts=(), changes=filter(concerns, look.changes))


def attended(found: Iterator[Change], operation: Operation) -> Iterator[Change]:
    for change in found:
        operation.check("changes")
        yield change
