"""The trial of a machine that was put on another master: begun, waited for, decided.

Where each of these is killed, its record says how far it came, and whoever touches the machine next decides
by what is there then (trials.py): `started` is written down before the power comes on, `passed` before
anything else is done, and the old overlay takes its place again by one rename of the host.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from skinnybox.errors import Cancelled, Conflict, SkinnyboxError, TimedOut
from skinnybox.fleet import power, rebase_kept, snapshots, trials
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.context import Context
from skinnybox.fleet.lease import Held, leased
from skinnybox.fleet.patience import MOST, Patience
from skinnybox.fleet.power import POLL, READY_TIMEOUT, Stopping
from skinnybox.fleet.trials import Verdict
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.hosts.events import EventKind
from skinnybox.model import Instance, Trial, TrialPhase
from skinnybox.operation import UNATTENDED, Operation

USUAL = READY_TIMEOUT
_ASKED = Stopping(timeout=30.0, then_kill=True)
"""How one is stopped that was not ready: it may have written what somebody wants to read."""

See = Callable[[Instance], MachineView]
"""How to see this very instance as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trying:
    """With `wait` until it is decided; `timeout` is seconds, None the usual time (patience.py). With
    `off_again` it was off, and is to be off when it has passed; with `on_again` it ran, and is to run on its
    old system when it has not."""

    wait: bool = True
    timeout: float | None = None
    off_again: bool = False
    on_again: bool = False


def patience_of(timeout: float | None) -> int:
    """The seconds that are written down: who looks later sees no guest work."""
    return max(1, round(USUAL * MOST if timeout is None else timeout))


def tried(context: Context, held: Held, how: Trying, operation: Operation) -> Instance:
    """Start it, and see. Ends the lease. GuestFailed, TimedOut, or what kept it from starting, when it has
    its old system back by then; Cancelled while it goes on, and TimedOut as well of one that was begun
    before: how long that may last was said then."""
    ours = _trial(held.instance).phase is not TrialPhase.RUNNING
    try:
        if ours:
            _begin(context, held, how, operation)
        decided = how.wait and _await(context, held.instance, how.timeout, operation, ours=ours)
    except Cancelled as error:
        raise _left_alone(held, error) from error
    except SkinnyboxError as error:
        undone(context.host, context.catalog, context.queries.view, held, error)
        if how.on_again:
            error.message = f"{error.message}; {on_again(context, held.instance)}"
        raise
    if not decided:
        return _not_waited_for(held, how)
    _pass(context.host, held)
    if how.off_again:
        _off_again(context, held.instance, operation)
    return held.commit(held.instance)


def started(context: Context, machine: MachineView, how: Trying, operation: Operation) -> MachineView:
    """The start of a machine that is to be tried at it."""
    with leased(context.host, context.catalog, machine.instance, Doing.REBASE) as held:
        tried(context, held, how, operation)
    return context.queries.view(machine.instance)


def awaited(context: Context, machine: MachineView, timeout: float | None, operation: Operation) -> bool:
    """Wait for a trial that was begun, and decide it. False where whoever began it does that."""
    try:
        with leased(context.host, context.catalog, machine.instance, Doing.REBASE) as held:
            if held.instance.trial is not None and trials.is_open(held.instance):
                tried(context, held, Trying(timeout=timeout), operation)
    except Conflict:
        return False
    return True


def settled(
    host: Host, catalog: Catalog, see: See, machine: MachineView, operation: Operation
) -> MachineView:
    """The machine, its trial decided if that is over and nobody waits for it. What came of it is noted."""
    if not machine.broken_off and trials.judged(machine).verdict is Verdict.OPEN:
        return machine
    try:
        with leased(host, catalog, machine.instance, Doing.REBASE) as held:
            _settle(host, catalog, see, held, operation)
    except Conflict as error:
        operation.note(error.message)
    return see(machine.instance)


def _settle(host: Host, catalog: Catalog, see: See, held: Held, operation: Operation) -> None:
    """Looked at again: somebody may have been quicker."""
    judged = trials.judged(see(held.instance))
    if judged.verdict is Verdict.PASSED:
        _pass(host, held)
        held.commit(held.instance)
        operation.note(f"{held.instance.name} was ready on {held.instance.stack.reference}: its trial passed")
    elif judged.error is not None:
        undone(host, catalog, see, held, judged.error)
        operation.note(judged.error.message)
    elif held.was_interrupted:
        held.commit(held.instance)  # it is now as its disk is: see lease.as_left


def _begin(context: Context, held: Held, how: Trying, operation: Operation) -> None:
    """Nothing is written down before it is known that there is something to boot from."""
    host, instance = context.host, held.instance
    master = context.masters.bootable(instance.stack)
    trial = replace(
        _trial(instance),
        phase=TrialPhase.RUNNING,
        started=datetime.now(UTC),
        patience=patience_of(how.timeout),
    )
    operation.step(f"{instance.name}: trial")
    held.record(replace(instance, trial=trial))
    _tell(host, held.instance, EventKind.TRIAL, f"on {instance.stack.reference}")
    machine = context.queries.view(instance)
    power.start(host, machine, master, context.masters.folder(master), operation, trial=True)


def _await(
    context: Context, instance: Instance, timeout: float | None, operation: Operation, *, ours: bool
) -> bool:
    """Until it has passed; raises why it failed. False when the time is over that somebody wanted to wait for
    one that he did not begin."""
    host, begun = context.host, time.monotonic()
    patience = Patience(timeout, USUAL, partial(host.moving, instance.uuid))
    while True:
        machine = context.queries.view(instance)
        judged = trials.judged(machine)
        if judged.error is not None:
            raise judged.error
        if judged.verdict is Verdict.PASSED:
            return True
        operation.check(f"{instance.name}: trial")
        if ours and patience.over():
            raise trials.late(machine, patience.waited)
        if not ours and timeout is not None and time.monotonic() > begun + timeout:
            return False
        host.wait_change(POLL)


def _not_waited_for(held: Held, how: Trying) -> Instance:
    instance = held.commit(held.instance)
    if not how.wait:
        return instance
    until = trials.deadline(instance)
    raise TimedOut(
        f"{instance.name} is not ready yet: its trial goes on"
        + (f" until {until.astimezone():%H:%M}" if until else ""),
        hint=f"`skinnybox wait {instance.name}` goes on waiting; `skinnybox rollback {instance.name}`",
    )


def _left_alone(held: Held, error: Cancelled) -> Cancelled:
    """Who cancels waiting has not said that it failed."""
    instance = held.instance
    if not held.is_ended and _trial(instance).phase is TrialPhase.RUNNING:
        held.commit(instance)
        until = trials.deadline(instance)
        when = f" until {until.astimezone():%H:%M}" if until else ""
        hint = f"`skinnybox wait {instance.name}` waits and decides; `skinnybox rollback {instance.name}`"
        return Cancelled(f"{instance.name} was not ready yet: its trial goes on{when}", hint=hint)
    return error


def _pass(host: Host, held: Held) -> None:
    instance = held.instance
    held.record(replace(instance, trial=replace(_trial(instance), phase=TrialPhase.PASSED)))
    _tell(
        host,
        held.instance,
        EventKind.REBASED,
        f"{_trial(instance).before.reference} -> {instance.stack.reference}",
    )


def undone(host: Host, catalog: Catalog, see: See, held: Held, error: SkinnyboxError) -> None:
    """Put the old system back, of one that may still run, and end the lease. The error says what became of
    the machine. Nobody can cancel it."""
    name, old = held.instance.name, _trial(held.instance).before.reference
    power.stop(host, lambda: see(held.instance), _ASKED, UNATTENDED)
    _without_its_check(host, held)
    restored, label = rebase_kept.put_back(host, catalog, held, UNATTENDED)
    held.commit(restored)
    _tell(host, restored, EventKind.ROLLED_BACK, f"to {old}: {error.message}")
    aside = f"what it wrote meanwhile is in its snapshot {label}"
    error.message = f"{error.message}; it has its system on {old} again, and {aside}"
    error.hint = f"`skinnybox console --log {name}` shows what it printed last"


def _without_its_check(host: Host, held: Held) -> None:
    """What the rebase told it goes with it. Nobody else has given it a seed meanwhile: see trials.py."""
    then = snapshots.find(host, held.instance, _trial(held.instance).kept).instance
    held.instance = replace(held.instance, seed=then.seed, check=then.check)


def on_again(context: Context, instance: Instance) -> str:
    """Start it as it was, and say so, or why it is off."""
    try:
        master = context.masters.bootable(instance.stack)
        machine, folder = context.queries.view(instance), context.masters.folder(master)
        power.start(context.host, machine, master, folder, UNATTENDED)
    except SkinnyboxError as error:
        return f"it is off: {error.message}"
    return "it was started again"


def _off_again(context: Context, instance: Instance, operation: Operation) -> None:
    """It has passed, whether it goes off at once or not."""
    try:
        power.stop(context.host, lambda: context.queries.view(instance), Stopping(), operation)
    except SkinnyboxError as error:
        operation.note(f"{error.message}: it was off before")


def _trial(instance: Instance) -> Trial:
    if instance.trial is None:
        raise Conflict(f"{instance.name} is not on trial", hint="another command has decided it")
    return instance.trial


def _tell(host: Host, instance: Instance, kind: EventKind, detail: str) -> None:
    host.note_event(instance.uuid, instance.name, kind, detail)
