"""The changes of a running machine as its guest tells them by ssh: quick, and only its word."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skinnybox.delta.seed_marks import expected, guessed
from skinnybox.delta.upper_guest import SCRIPT, compared, listing
from skinnybox.errors import CommandFailed, GuestFailed
from skinnybox.fleet.access import USUAL, ssh_argv
from skinnybox.fleet.view import MachineView
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.index import read_index
from skinnybox.model import Change
from skinnybox.operation import Operation
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.process import relayed

_BOUNDS = Bounds(cpu_seconds=75, output=256 << 20)


@contextmanager
def changes_by_word(
    ssh: Path, machine: MachineView, sealed: Path, operation: Operation
) -> Iterator[Iterator[Change]]:
    """In path order. What is at a path of the seed's is marked, never left out: from size and time nobody can
    tell whose it is. GuestFailed when the guest does not answer, or tells nonsense."""
    found = listing(_asked(ssh, machine, operation))
    wanted = expected(machine.instance, machine.host_keys)
    with (sealed / INDEX).open("rb") as index:
        yield guessed(compared(found, read_index(index)), wanted)


def _asked(ssh: Path, machine: MachineView, operation: Operation) -> bytes:
    """All it prints, within bounds. As root, since the view is root's."""
    become = 'if [ "$(id -u)" = 0 ]; then exec sh -c "$0"; else exec sudo -n sh -c "$0"; fi'
    words = [*ssh_argv(ssh, machine, USUAL, batch=True), shlex.join(["sh", "-c", become, SCRIPT])]
    try:
        return relayed(words, _BOUNDS, operation.check).stdout
    except CommandFailed as error:
        raise GuestFailed(
            f"{machine.name} does not list what it changed: {error.message}",
            hint="without --live it is read from outside, from a copy",
        ) from error
