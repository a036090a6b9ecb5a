"""One machine put on another master: planned and built beside the old overlay, then tried.

Nobody else changes it from before it is stopped until its trial is decided: one lease. Killed anywhere, the
machine is as it was (the new overlay takes its place last of all), or it says in its record how far its trial
came, and the same command again goes on from there.
"""

import secrets
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.errors import Conflict, SkinnyboxError, Unsupported
from skinnybox.fleet import power, rebase_data, rebase_kept, rebase_plan, rebase_refused, rebase_trial, trials
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.context import Context
from skinnybox.fleet.lease import Held, as_left, leased
from skinnybox.fleet.rebase_refused import checked
from skinnybox.fleet.rebase_trial import Trying
from skinnybox.fleet.stacks import add_to_host
from skinnybox.fleet.stacks import stack as stack_of
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.building import Building
from skinnybox.model import DiskKind, Instance, Master, Trial, TrialPhase
from skinnybox.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from skinnybox.delta.rebase.rules import Policy
    from skinnybox.fleet.rebase_plan import Moves
    from skinnybox.fleet.rebase_replay import Replaying


class Stage(StrEnum):
    """How far a machine came."""

    THERE = "there"
    BUILT = "built"
    TRIAL = "trial"
    PASSED = "passed"
    ROLLED_BACK = "rolled back"
    COMMITTED = "committed"
    NOT_BEGUN = "not begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """`old` and `new` are references of masters, `kept` is the snapshot with its old overlay, `until` when
    its trial is over; `why` is what else is to be known."""

    name: str
    old: str
    new: str
    stage: Stage
    kept: str | None = None
    until: datetime | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`moves` gives what is read of the masters, for as long as something is built from them. Without `start`
    a machine is built only, and its next start is the trial. `replaying` goes with a policy of that."""

    new: Master
    moves: "Callable[[], AbstractContextManager[Moves]]"
    policy: "Policy"
    start: bool = True
    wait: bool = True
    timeout: float | None = None
    check: str | None = None
    keep: timedelta | None = None
    stay_on: frozenset[str] = frozenset()
    replaying: "Replaying | None" = None


def moved(context: Context, machine: MachineView, wanted: Wanted, operation: Operation) -> Moved:
    """Have it boot from another master, or go on with that. Idempotent. Conflict for what is in dispute,
    Blocked, Unsupported and NoSpace with the machine as it was; GuestFailed and TimedOut when its trial
    failed, and it has its old system again."""
    ran = power.running(machine) or _ran(context, machine.instance)
    machine = context.queries.settled(machine, operation)
    if machine.instance.stack.master == wanted.new.id:
        return _gone_on(context, machine, wanted, operation, ran=ran)
    if not wanted.start:
        power.refuse_running(machine, "a rebase with --no-start")
    with wanted.moves() as moves:
        stack = rebase_refused.refuse(context, machine, moves, wanted.check)
        if power.running(machine):  # or it is stopped for nothing; one that is off finds out as it is built
            rebase_refused.refuse_room(context.host, [machine.instance])
        add_to_host(context, wanted.new, stack, operation)
    with leased(context.host, context.catalog, machine.instance, _doing(ran)) as held:
        _refuse_moved(machine.instance, held.instance)
        built = _off_and_built(context, held, wanted, operation, ran=ran)
        if not wanted.start:
            held.commit(built)
        else:
            rebase_trial.tried(context, held, _trying(wanted, held.instance.name, ran=ran), operation)
    return told(held.instance)


def _refuse_moved(looked_at: Instance, now: Instance) -> None:
    """Conflict where somebody was quicker."""
    if (now.stack, now.trial) != (looked_at.stack, looked_at.trial):
        raise Conflict(f"{now.name} was rebased by another command meanwhile", hint="look what came of it")


def told(instance: Instance) -> Moved:
    """Of one that has been moved, by its record."""
    trial, new = instance.trial, instance.stack.reference
    if trial is None:
        return Moved(name=instance.name, old=new, new=new, stage=Stage.THERE)
    stage = {
        TrialPhase.BUILT: Stage.BUILT,
        TrialPhase.RUNNING: Stage.TRIAL,
        TrialPhase.PASSED: Stage.PASSED,
    }[trial.phase]
    until = trials.deadline(instance)
    return Moved(
        name=instance.name, old=trial.before.reference, new=new, stage=stage, kept=trial.kept, until=until
    )


def _gone_on(
    context: Context, machine: MachineView, wanted: Wanted, operation: Operation, *, ran: bool
) -> Moved:
    """Of one that is on that master: its trial, if that was not begun or not waited for to its end."""
    trial = machine.instance.trial
    begun = trial is not None and trial.phase is TrialPhase.RUNNING
    if not trials.is_open(machine.instance) or not wanted.start or (begun and not wanted.wait):
        found = told(machine.instance)
        return replace(found, stage=Stage.THERE) if found.stage is Stage.PASSED else found
    with leased(context.host, context.catalog, machine.instance, _doing(ran)) as held:
        if trials.is_open(held.instance):
            rebase_trial.tried(context, held, _trying(wanted, held.instance.name, ran=ran), operation)
    return told(held.instance)


def _trying(wanted: Wanted, name: str, *, ran: bool) -> Trying:
    off_again = wanted.wait and not ran and name not in wanted.stay_on
    return Trying(wait=wanted.wait, timeout=wanted.timeout, off_again=off_again, on_again=ran)


def _doing(ran: bool) -> Doing:
    """Written down with the lease: who goes on after a kill has to know whether it is to run again."""
    return Doing.REBASE_ON if ran else Doing.REBASE


def _ran(context: Context, instance: Instance) -> bool:
    """Whether a command that was killed over it has stopped it for its rebase."""
    rows = context.catalog.rows([instance.name])
    return any(row.doing is Doing.REBASE_ON and not row.is_held for row in rows)


def _off_and_built(
    context: Context, held: Held, wanted: Wanted, operation: Operation, *, ran: bool
) -> Instance:
    """As it was, and running if it ran, when that fails."""
    instance = held.instance

    def look() -> MachineView:
        return context.queries.view(instance)

    if power.running(look()):
        operation.step(f"{instance.name}: stop")
        power.stop(context.host, look, power.Stopping(), operation)
    try:
        return _built(context, held, wanted, operation, ran=ran)
    except BaseException as error:
        if held.instance != instance:  # announced, and perhaps not in place
            with suppress(SkinnyboxError):
                held.record(as_left(context.host, held.instance))
        if ran and held.instance == instance:
            again = rebase_trial.on_again(context, instance)
            if isinstance(error, SkinnyboxError):
                error.message = f"{error.message}; it stays on {instance.stack.reference}, and {again}"
        raise


def _built(context: Context, held: Held, wanted: Wanted, operation: Operation, *, ran: bool) -> Instance:
    """The machine as it is recorded with its new overlay in place."""
    from skinnybox.delta.rebase import doing
    from skinnybox.fleet.rebase_look import Look
    from skinnybox.overlays.patch import put_message
    from skinnybox.overlays.seed import base_message, seed_message

    host, instance = context.host, held.instance
    trial = _trial(context, instance, wanted)
    with wanted.moves() as moves:
        stack = stack_of(wanted.new, instance.stack.dax, host.features, moves.layers(instance, host.features))
        rebased = checked(replace(instance, stack=stack, trial=trial), wanted.check)
        old, new = (moves.files(each, instance.stack) for each in (instance.stack.master, wanted.new.id))
        files = (old, new)

        def build(old: Path, new: Path) -> None:
            operation.step(f"{instance.name}: build")
            images = (instance.stack.images, rebased.stack.images)
            done = doing.build(
                old, new, files, wanted.policy, images, operation, identifier=trial.identifier,
                says_all=_says_all(instance, wanted, ran=ran),
            )  # fmt: skip
            _refuse_tasks(done.tasks, wanted.new)
            if done.renumbers:
                rebase_data.refuse(instance, (moves.master(instance), wanted.new))
            look = Look(context, instance, wanted.new, (old, new), files)
            if done.replay is not None and wanted.replaying is not None:
                look.install_again(done.replay, wanted.replaying, operation)
            put_message(new, "base", base_message(rebased))
            if rebased.seed != instance.seed:
                put_message(new, "seed", seed_message(rebased))
            look.pass_gate(operation, reinstalled=done.replay is not None)

        buildings = {DiskKind.OVERLAY: Building(size=instance.overlay.size, build=build, keep=trial.kept)}
        # The older seed first: killed before the new one is in place, none is asked for that no disk has.
        between = replace(rebased, seed=instance.seed, check=instance.check)
        host.rebuild_disks(instance, buildings, operation, lambda: held.announce(between))
    if rebased != between:
        held.record(rebased)
    return rebased


def _says_all(instance: Instance, wanted: Wanted, *, ran: bool) -> str:
    """How to see the whole plan: of a machine that is off, and this one is started again, if it ran."""
    first = f"`skinnybox stop {instance.name}`, and then " if ran else ""
    replay = " --replay" if wanted.policy.replay else ""
    command = f"skinnybox rebase {instance.name} --onto {wanted.new.reference}{replay} --dry-run"
    return f"{first}`{command}` says all of it"


def _refuse_tasks(tasks: tuple[str, ...], new: Master) -> None:
    """Unsupported where the guest part would not do them: it says nothing of what it does not know, and would
    be taken for ready."""
    if tasks and new.guest_protocol < rebase_plan.KNOWS_TASKS:
        raise Unsupported(
            f"its first start has to do more than the guest part of {new.reference} knows"
            f" ({', '.join(tasks)}): it speaks protocol {new.guest_protocol}, and that is known from"
            f" {rebase_plan.KNOWS_TASKS} on",
            hint="build or import the master again",
        )


def _trial(context: Context, instance: Instance, wanted: Wanted) -> Trial:
    """The one that is to come, with the way back."""
    now = datetime.now(UTC)
    return Trial(
        before=instance.stack,
        kept=rebase_kept.label(context.host, instance, rebase_kept.BEFORE),
        since=now,
        phase=TrialPhase.BUILT,
        patience=rebase_trial.patience_of(wanted.timeout),
        started=None,
        identifier=secrets.token_hex(16),
        keep_until=None if wanted.keep is None else now + wanted.keep,
        check=None if wanted.check == instance.check else wanted.check,
    )
