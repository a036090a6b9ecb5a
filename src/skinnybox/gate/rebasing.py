"""Rebases as they are asked for over the network: what they would mean, and doing them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skinnybox.errors import Blocked, GuestFailed, UsageError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Principal
from skinnybox.gate.readings import reading
from skinnybox.operation import Operation
from skinnybox.printable import quoted, raw_path

if TYPE_CHECKING:
    from skinnybox.fleet.rebase_plan import Summary
    from skinnybox.fleet.rebase_rollout import Rollout

MOST = 200
"""Machines of one plan: the disk of each is read, while whoever asks waits."""


def path(told: str) -> str:
    """What a plan told of a path (printable_path), as the policy has it. UsageError for what is none."""
    found = raw_path(told)
    if found is None or not told.startswith("/") or b"\0" in found:
        raise UsageError(f"{quoted(told)} is no path in a machine", hint="as a plan tells it")
    return found.decode("utf-8", "surrogateescape")


def paths(told: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(path, told))


def plans(
    fleet: Fleet, who: Principal, names: Sequence[str], onto: str, wishes: Wishes, check: str | None
) -> "list[Outcome[Summary]]":
    """Of machines that they reach. NotFound, Busy, and UsageError for too many."""
    machines = reach.machines(fleet, who, names)
    found = [machine.name for machine in machines]
    if len(found) > MOST:
        raise UsageError(
            f"{len(found)} machines; a plan is of {MOST} at the most",
            hint="plan a part of them, or the job itself",
        )
    with reading(*(machine.instance.uuid for machine in machines)):
        return fleet.rebases.plans(found, onto, wishes, Operation(), check=check)


def plan(
    fleet: Fleet, who: Principal, name: str, onto: str, wishes: Wishes, check: str | None
) -> "tuple[Summary, list[Any]]":
    """Of one, with all that is decided (present_rebase.decision). NotFound, Busy."""
    machine = reach.machine(fleet, who, name)
    with reading(machine.instance.uuid):
        return fleet.rebases.plan(machine.name, onto, wishes, Operation(), check=check)


def done(
    fleet: Fleet, names: list[str], onto: str, wishes: Wishes, how: "Rollout", operation: Operation
) -> list[Outcome[Any]]:
    """As fleet.rebases.run; for the job, which tells of each machine whether it came to what was asked for:
    one that was not begun, or was taken back since another failed, has not."""
    from skinnybox.fleet.rebase_run import Stage

    def told(outcome: Outcome[Any]) -> Outcome[Any]:
        found = outcome.value
        if found is not None and found.stage is Stage.NOT_BEGUN:
            return replace(outcome, value=None, error=Blocked(f"not begun: {found.why}"))
        if found is not None and found.stage is Stage.ROLLED_BACK:
            return replace(outcome, value=None, error=GuestFailed(f"taken back: {found.why}"))
        return outcome

    return list(map(told, fleet.rebases.run(names, onto, wishes, how, operation)))
