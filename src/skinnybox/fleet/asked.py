"""What speaks against doing a thing to machines, found before anybody is asked whether it is to be done.

A question is for what a yes would do: neither for what is refused anyhow nor for what is not there. The verbs
look again when they do it, by the same checks: meanwhile a machine may have been started.
"""

from collections.abc import Callable, Sequence

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet import power
from skinnybox.fleet.view import MachineView

Check = Callable[[MachineView], object]
"""Raises what speaks against it."""


def passing(machines: Sequence[MachineView], check: Check) -> list[str]:
    """The names of those that nothing speaks against."""

    def passes(machine: MachineView) -> bool:
        try:
            check(machine)
        except SkinnyboxError:
            return False
        return True

    return [machine.name for machine in machines if passes(machine)]


def deletable(machine: MachineView, *, force: bool) -> None:
    """Blocked while it runs, unless `force`."""
    if not force:
        power.refuse_running(machine, "delete")


def resettable(machine: MachineView) -> None:
    """Blocked while it runs."""
    power.refuse_running(machine, "reset")
