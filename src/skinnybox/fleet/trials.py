"""A machine whose rebase is not decided: what may be done with it meanwhile, and what decides it.

    built      its new overlay is in place and has never run: the next start is its trial
    running    the trial was begun; it waits for the machine to be ready, until `deadline`
    passed     it was ready: a machine like any other, whose old overlay is kept until that is committed

Whoever touches a machine next decides a trial that was begun, and nobody waits for (rebase_trial.py): what
was ready has passed, what was not ready in time or went off before has not, and has its old system back.
What only looks decides nothing. `leased` asks `refuse` for whoever changes a machine, so that no command can
forget it; tests/fleet/test_trials.py has them all.
"""

from datetime import UTC, datetime
from enum import StrEnum

from skinnybox.errors import Blocked, GuestFailed, SkinnyboxError, TimedOut
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.trial_words import deadline, is_begun, is_built, is_open
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.model import Instance, Report, Trial, TrialPhase, image_uuid
from skinnybox.values import dataclass

__all__ = [
    "Judged",
    "Verdict",
    "deadline",
    "is_begun",
    "is_built",
    "is_open",
    "judged",
    "late",
    "refuse",
    "refuse_open",
]

_REFUSED: dict[Doing, str] = {
    Doing.RESET: "a reset would throw away what was never tried",
    Doing.SLIM: "its overlay changes when that is decided",
    Doing.GROW: "its overlay changes when that is decided",
    Doing.RESTORE: "what is put back would be put back onto neither",
    Doing.RESEED: "its overlay changes when that is decided",
}
"""What nobody does to a machine before it is decided: all of it is done to the disk, of which there are two
then. Its record, its power and its end are its user's as ever."""


class Verdict(StrEnum):
    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`error` is why it failed."""

    verdict: Verdict
    error: SkinnyboxError | None = None


def refuse(instance: Instance, doing: Doing) -> None:
    """Blocked for what is not done to such a machine."""
    if doing in _REFUSED:
        refuse_open(instance, _REFUSED[doing])


def refuse_open(instance: Instance, why: str) -> None:
    """Blocked while it is not decided."""
    if not is_open(instance):
        return
    name = instance.name
    begun = is_begun(instance)
    ways = f"`skinnybox wait {name}` waits until it is" if begun else f"`skinnybox start {name}` tries it"
    raise Blocked(
        f"{name} was rebased onto {instance.stack.reference}, and that is not decided yet: {why}",
        hint=f"{ways}; `skinnybox rollback {name}` takes it back",
    )


def judged(machine: MachineView, now: datetime | None = None) -> Judged:
    """What became of a trial that was begun, by what is seen of the machine now."""
    instance, trial = machine.instance, machine.instance.trial
    if trial is None or trial.phase is not TrialPhase.RUNNING:
        return Judged(verdict=Verdict.OPEN)
    if _was_ready(machine) or (machine.condition is Condition.READY and not _still_to_come(machine)):
        return Judged(verdict=Verdict.PASSED)
    on = machine.status is not None and machine.status.pid is not None
    if not on or machine.condition in (Condition.FAILED, Condition.MISMATCH, Condition.CRASHED):
        return _failed(machine, on)
    tasks = machine.current_report.rebase if machine.current_report else None
    if tasks and tasks.identifier == trial.identifier and not tasks.done:
        why = f"{machine.name} could not be fitted to {instance.stack.reference}: {tasks.why}"
        return Judged(verdict=Verdict.FAILED, error=GuestFailed(why))
    until = deadline(instance)
    if until is not None and (now or datetime.now(UTC)) > until:
        return Judged(verdict=Verdict.FAILED, error=late(machine, trial.patience))
    return Judged(verdict=Verdict.OPEN)


def _failed(machine: MachineView, on: bool) -> Judged:
    onto = machine.instance.stack.reference
    what = f"{machine.condition} on {onto}" if on else f"went off on {onto} before it was ready"
    why = f": {_why(machine)}" if _why(machine) else ""
    verb = "is " if on else ""
    return Judged(verdict=Verdict.FAILED, error=GuestFailed(f"{machine.name} {verb}{what}{why}"))


def late(machine: MachineView, seconds: float) -> TimedOut:
    """Of one that is not ready in time."""
    why = f": {_why(machine)}" if _why(machine) else ""
    onto = machine.instance.stack.reference
    return TimedOut(f"{machine.name} was not ready on {onto} after {seconds:.0f} s{why}")


def _why(machine: MachineView) -> str | None:
    """That a command waits for it is no reason."""
    return machine.reason if machine.reason != machine.work else None


def _was_ready(machine: MachineView) -> bool:
    """Of one that is off: its guest's last word of this trial. Of one that runs the word of this very start
    counts, and no other."""
    report, trial = machine.report, machine.instance.trial
    if machine.status is not None and machine.status.pid is not None:
        return False
    if report is None or trial is None or trial.started is None or not report.ready:
        return False
    if report.inactive_units or not _did_tasks(report, trial):
        return False
    return (
        _is_of(report, machine.instance) and report.reachable is not False and _since(report) > trial.started
    )


def _still_to_come(machine: MachineView) -> bool:
    """Whether what ran before does not run yet, or the guest speaks of other tasks than ours."""
    report, trial = machine.current_report, machine.instance.trial
    if report is None or trial is None:
        return True
    return bool(report.inactive_units) or not _did_tasks(report, trial)


def _did_tasks(report: Report, trial: Trial) -> bool:
    """A guest part that knows of no tasks was given none, and says nothing of them."""
    tasks = report.rebase
    return tasks is None or (tasks.done and tasks.identifier == trial.identifier)


def _is_of(report: Report, instance: Instance) -> bool:
    """Whether it was this system that spoke, with its seed: what view.py calls a mismatch."""
    generation = report.seed_generation or 0
    asked = tuple(image_uuid(digest) for digest in instance.stack.images)
    return report.images == asked and generation >= instance.seed.generation


def _since(report: Report) -> datetime:
    return report.ready_since or report.received or datetime.min.replace(tzinfo=UTC)
