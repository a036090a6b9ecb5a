"""The verbs of a fleet that give machines power and take it, and wait for what comes of that.

A part of service.py, which says how all of them are.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.parts import Parts
from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.power import Stopping
    from skinnybox.fleet.view import MachineView

ALL = 64
"""Machines waited for at once where waiting costs nothing."""


class Powering(Parts):
    """What is done to machines' power. Blocks, as all of a fleet."""

    @as_job("start")
    def start(
        self,
        patterns: Sequence[str],
        *,
        wait: bool = True,
        timeout: float | None = None,
        parallel: int | None = None,
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[MachineView]]":
        """Power on. With `wait` only so many come up at once as the machine bears, each until it is ready;
        those of other jobs of this process count, unless `parallel` is more than that."""

        from skinnybox.fleet import encrypted, power, trials

        def one(machine: "MachineView", operation: Operation) -> "MachineView":
            with self._queries.rising.turn(operation, parallel) if wait else nullcontext():
                return up(machine, operation)

        def up(machine: "MachineView", operation: Operation) -> "MachineView":
            if trials.is_built(machine.instance):
                from skinnybox.fleet import rebase_trial

                how = rebase_trial.Trying(wait=wait, timeout=timeout)
                return rebase_trial.started(self._context, machine, how, operation)
            master = self.masters.bootable(machine.instance.stack)
            power.start(self._host, machine, master, self.masters.folder(master), operation)
            encrypted.forget_keys(self._catalog, machine.instance)
            if not wait:
                return self._queries.view(machine.instance)
            return self._wait_ready(machine, timeout, operation)

        return self._queries.each(patterns, one, "start", operation, parallel)

    def wait(
        self,
        patterns: Sequence[str],
        *,
        timeout: float | None = None,
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[MachineView]]":
        """Block until they are ready."""

        def one(machine: "MachineView", operation: Operation) -> "MachineView":
            return self._wait_ready(machine, timeout, operation)

        return self._queries.each(patterns, one, "wait", operation, ALL)

    @as_job("stop")
    def stop(
        self, patterns: Sequence[str], how: "Stopping", operation: Operation = UNATTENDED
    ) -> "list[Outcome[MachineView]]":
        """Ask the guests to power off and wait until they have."""
        from skinnybox.fleet import power

        def one(machine: "MachineView", operation: Operation) -> "MachineView":
            power.stop(self._host, lambda: self._queries.view(machine.instance), how, operation)
            return self._queries.settled(self._queries.view(machine.instance), operation)

        return self._queries.each(patterns, one, "stop", operation, ALL)

    @as_job("restart")
    def restart(
        self,
        patterns: Sequence[str],
        how: "Stopping",
        *,
        wait: bool = True,
        timeout: float | None = None,
        parallel: int | None = None,
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[MachineView]]":
        """Stop, then start. Those that did not stop are told with the reason, and are not started."""
        from skinnybox.fleet import power

        stopped = [power.not_restarted(outcome) for outcome in self.stop(patterns, how, operation)]
        off = [outcome.name for outcome in stopped if outcome.ok]
        started = self.start(off, wait=wait, timeout=timeout, parallel=parallel, operation=operation)
        return [*(outcome for outcome in stopped if not outcome.ok), *started]

    @as_job("kill")
    def kill(
        self, patterns: Sequence[str], operation: Operation = UNATTENDED
    ) -> "list[Outcome[MachineView]]":
        """Pull the plug."""

        def one(machine: "MachineView", operation: Operation) -> "MachineView":
            self._host.power_off(machine.instance)
            return self._queries.settled(self._queries.view(machine.instance), operation)

        return self._queries.each(patterns, one, "kill", operation, ALL, decides=False)

    def _wait_ready(
        self, machine: "MachineView", timeout: float | None, operation: Operation
    ) -> "MachineView":
        from skinnybox.fleet import power, trials

        if trials.is_begun(machine.instance):
            from skinnybox.fleet import rebase_trial

            if rebase_trial.awaited(self._context, machine, timeout, operation):
                return self._queries.view(machine.instance)
        return power.wait_ready(self._host, lambda: self._queries.view(machine.instance), timeout, operation)
