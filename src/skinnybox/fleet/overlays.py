"""What is done to a machine's disk: looked into, reset. What only some of it needs is imported there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from skinnybox.fleet import power
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.roster import Roster
from skinnybox.fleet.state import State
from skinnybox.fleet.view import Machine
from skinnybox.hosts.base import Host
from skinnybox.model import Change, Instance, Progress, silent


class Overlays:
    """The overlays of a fleet. Everything here blocks."""

    def __init__(self, host: Host, state: State, masters: Masters, roster: Roster) -> None:
        self._host = host
        self._state = state
        self._masters = masters
        self._roster = roster

    @contextmanager
    def changes(self, name: str, *, include_seed: bool = False) -> Iterator[Iterator[Change]]:
        """What a stopped machine made its own, in path order, read from outside."""
        from skinnybox.fleet import delta

        machine = self._roster.machine(name)
        power.refuse_running(machine, "changes")
        sealed = self._masters.folder(self._masters.by_id(machine.instance.stack.master))
        with delta.changes_of(self._host, machine.instance, sealed, include_seed=include_seed) as found:
            yield found

    def reset(self, patterns: Sequence[str], progress: Progress = silent) -> list[Outcome[Instance]]:
        """Give machines a fresh overlay: the delta is gone, the identity stays. They must be stopped."""
        from skinnybox.fleet import delta

        def one(machine: Machine) -> Instance:
            power.refuse_running(machine, "reset")
            instance, known = delta.renew(self._host, machine.instance)
            self._state.settle([instance])
            if not known:
                self._state.unpin_host_keys(instance.uuid)
            return instance

        return self._roster.each(patterns, one, "reset", progress, 1)
