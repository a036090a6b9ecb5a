"""What speaks against doing a thing to machines, found before anybody is asked whether it is to be done.

A question is for what a yes would do: neither for what is refused anyhow nor for what is not there. The verbs
look again when they do it, by the same checks: meanwhile a machine may have been started.
"""

from collections.abc import Callable, Sequence

from skinnybox.errors import Blocked, SkinnyboxError
from skinnybox.fleet import power
from skinnybox.fleet.view import MachineView
from skinnybox.model import Instance, ThrowAway

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
    """Blocked while it is protected and, unless `force`, while it runs."""
    refuse_protected(machine.instance)
    if not force:
        power.refuse_running(machine, "delete")


def refuse_protected(instance: Instance) -> None:
    """Blocked, `force` or not: who protects a machine means just the command that is typed too quickly, and
    those have --force in them. So it is with Incus, Proxmox and EC2 as well."""
    if instance.protected:
        raise Blocked(
            f"{instance.name} is protected: nobody deletes it, also not by force",
            hint=f"skinnybox set {instance.name} --no-protect",
        )


def resettable(machine: MachineView) -> None:
    """Blocked while it runs."""
    power.refuse_running(machine, "reset")


def committable(machine: MachineView) -> None:
    """NotFound without a rebase to commit to; Blocked before that is decided."""
    from skinnybox.fleet.rebase_back import refuse_uncommittable

    refuse_uncommittable(machine.instance)


def emptied(machines: Sequence[MachineView], throw_away: ThrowAway | None) -> list[str]:
    """The names of those that would lose what they wrote at their next start, were they told so now. One that
    runs is not told."""
    from skinnybox.model.throwaway import empties  # of several commands only one asks this

    return [m.name for m in machines if empties(m.instance.throw_away, throw_away) and not power.running(m)]
