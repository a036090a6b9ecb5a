"""What is in the files that differ: of a machine and its master, or of two machines."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from skinnybox.delta import content
from skinnybox.fleet import stack_files
from skinnybox.fleet.context import Context
from skinnybox.fleet.deltas import LIMIT, Versions
from skinnybox.fleet.settled_disk import settled_disk
from skinnybox.fleet.view import MachineView
from skinnybox.model import Change, ChangeKind, Content
from skinnybox.operation import Operation

_GONE, _NEW = ChangeKind.DELETED, ChangeKind.ADDED


def versions(
    context: Context, machines: Sequence[MachineView], changes: Sequence[Change], operation: Operation
) -> Iterator[Versions]:
    """Of each change: of one machine against its master, or of the first of two against the second. The first
    LIMIT bytes of each file are read."""
    paths = [change.path for change in changes]
    with ExitStack() as held:
        own = [
            content.overlays(settled_disk(context, machine, held, operation), paths, LIMIT)
            for machine in machines
        ]
        masters = [_sealed(context, machine, paths) for machine in machines]
        for change in changes:
            operation.check("changes")
            mine, theirs = [next(each) for each in own], [next(each) for each in masters]
            after = _there(mine[0]) or theirs[0]
            before = theirs[0] if len(machines) == 1 else _there(mine[1]) or theirs[1]
            yield Versions(
                before=None if change.kind is _NEW else before, after=None if change.kind is _GONE else after
            )


def of_one(context: Context, machine: MachineView, path: bytes, limit: int, operation: Operation) -> Versions:
    """The first `limit` bytes of one path."""
    stack = machine.instance.stack
    with context.masters.kept(stack.master.removeprefix("sha256:")) as master:
        before = stack_files.content(context.folder, master, stack, path, limit)
    with ExitStack() as held:
        disk = settled_disk(context, machine, held, operation)
        return Versions(before=before, after=content.of_overlay(disk, path, limit))


def _there(found: Content | None) -> Content | None:
    """Without what hides the master's."""
    return None if found is not None and found.type == "c" else found


def _sealed(context: Context, machine: MachineView, paths: Sequence[bytes]) -> Iterator[Content | None]:
    """Of each path what its stack shows there."""
    stack = machine.instance.stack
    return stack_files.contents(context.folder, context.masters.by_id(stack.master), stack, paths, LIMIT)
