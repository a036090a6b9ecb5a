"""Two machines beside each other: which of them went its own way."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from skinnybox.delta import against
from skinnybox.delta.seed_marks import expected
from skinnybox.errors import UsageError
from skinnybox.fleet import encrypted, thrown
from skinnybox.fleet.changes import attended, below, sealed_of
from skinnybox.fleet.context import Context
from skinnybox.fleet.settled_disk import settled_disk
from skinnybox.fleet.view import MachineView
from skinnybox.model import Look
from skinnybox.operation import Operation


@contextmanager
def between(
    context: Context,
    machines: tuple[MachineView, MachineView],
    *,
    include_seed: bool,
    operation: Operation,
    paths: tuple[bytes, ...] = (),
) -> Iterator[Look]:
    """From the second to the first. UsageError for one machine twice."""
    one, other = machines
    if one.instance.uuid == other.instance.uuid:
        raise UsageError(f"{one.name} is as it is", hint="name another machine to compare it with")
    for machine in machines:
        thrown.refuse_in_memory(machine.instance, "changes")
        encrypted.refuse_reading(machine.instance, "changes")
    with ExitStack() as held:
        disks: dict[str, Path] = {}
        for machine in sorted(machines, key=lambda each: each.instance.uuid):  # no two wait for each other
            disks[machine.name] = settled_disk(context, machine, held, operation)
        read = [
            against.Machine(
                disk=disks[machine.name],
                sealed=held.enter_context(sealed_of(context.masters, machine)),
                expected=expected(machine.instance, machine.host_keys),
            )
            for machine in machines
        ]
        found = held.enter_context(against.compared(*read, include_seed=include_seed, paths=paths))
        yield below(replace(found, changes=attended(found.changes, operation)))
