"""The way back from a new master, and giving it up, as users command it."""

from collections.abc import Iterator
from contextlib import contextmanager

from skinnybox.errors import NotFound, SkinnyboxError
from skinnybox.fleet import power, rebase_kept, rebase_trial, trials
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.context import Context
from skinnybox.fleet.lease import Held, leased
from skinnybox.fleet.rebase_run import Moved, Stage
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.events import EventKind
from skinnybox.model import Instance, Trial
from skinnybox.operation import Operation


def rolled_back(context: Context, machine: MachineView, operation: Operation) -> Moved:
    """On its old master, with the old overlay; one that runs is stopped for it, and started again. NotFound
    for one that was not rebased, or whose way back was given up."""
    host, instance = context.host, machine.instance
    _trial(instance)
    with leased(host, context.catalog, instance, Doing.ROLLBACK) as held:
        new, trial = held.instance.stack.reference, _trial(held.instance)
        ran = power.running(look := context.queries.view(held.instance))
        if ran:
            operation.step(f"{instance.name}: stop")
            power.stop(host, lambda: context.queries.view(instance), power.Stopping(), operation)
        with _again_where_it_fails(context, held, ran=ran):
            restored, label = rebase_kept.put_back(host, context.catalog, held, operation)
        held.commit(restored)
    old = trial.before.reference
    host.note_event(instance.uuid, look.name, EventKind.ROLLED_BACK, f"{new} -> {old}")
    why = f"what it had on {new} is in its snapshot {label}"
    if ran:
        why = f"{why}; {rebase_trial.on_again(context, restored)}"
    return Moved(name=instance.name, old=new, new=old, stage=Stage.ROLLED_BACK, why=why)


@contextmanager
def _again_where_it_fails(context: Context, held: Held, *, ran: bool) -> Iterator[None]:
    """What could not be put back runs as it ran: nobody has asked for it to be off. Not one that is on trial,
    of which to have gone off decides."""
    before = held.instance
    try:
        yield
    except BaseException as error:
        if ran and held.instance == before and not trials.is_open(before):
            again = rebase_trial.on_again(context, before)
            if isinstance(error, SkinnyboxError):
                error.message = f"{error.message}; it stays on {before.stack.reference}, and {again}"
        raise


def committed(context: Context, machine: MachineView, operation: Operation) -> Moved:
    """For good: what it was before is deleted. Blocked while its trial is not decided."""
    instance = machine.instance
    trial = refuse_uncommittable(instance)
    rebase_kept.committed(context.host, context.catalog, instance)
    context.host.note_event(
        instance.uuid, instance.name, EventKind.COMMITTED, f"to {instance.stack.reference}"
    )
    old, new = trial.before.reference, instance.stack.reference
    return Moved(name=instance.name, old=old, new=new, stage=Stage.COMMITTED)


def refuse_uncommittable(instance: Instance) -> Trial:
    """What it is to be committed of. NotFound, or Blocked."""
    trials.refuse_open(instance, "there is nothing to commit to yet")
    return _trial(instance)


def _trial(instance: Instance) -> Trial:
    if instance.trial is None:
        raise NotFound(
            f"{instance.name} has no rebase to decide: it was not rebased, or that was committed",
            hint=f"`skinnybox snapshot list {instance.name}` shows what else is kept",
        )
    return instance.trial
