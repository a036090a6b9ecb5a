"""The machines of a plan that go to another master, as a rollout of each (rebase_rollout.py)."""

from collections.abc import Sequence

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.context import Context
from skinnybox.fleet.plan.values import ORDER, Action, Replay, Target, Verb
from skinnybox.fleet.power import Starting
from skinnybox.fleet.rebase_plan import opened
from skinnybox.fleet.rebase_refused import refuse
from skinnybox.fleet.rebase_rollout import Rollout, run
from skinnybox.fleet.rebase_run import Moved, Stage
from skinnybox.fleet.rebases import Wishes
from skinnybox.operation import Operation
from skinnybox.values import replace


def judged(context: Context, actions: Sequence[Action]) -> tuple[Action, ...]:
    """With those blocked that a rebase refuses whatever is on their disks. Whether there is room is seen
    when it is its turn: others may go before."""
    onto: dict[str, list[Action]] = {}
    for action in actions:
        if action.verb is Verb.REBASE and action.wanted is not None:
            onto.setdefault(action.wanted.stack.master, []).append(action)
    refused: dict[str, SkinnyboxError] = {}
    for master, some in onto.items():
        refused |= _refused(context, master, [action.name for action in some])
    found = (
        _blocked(action, refused[action.name])
        if action.verb is Verb.REBASE and action.name in refused
        else action
        for action in actions
    )
    return tuple(sorted(found, key=lambda action: ORDER[action.verb]))


def _refused(context: Context, master: str, names: Sequence[str]) -> dict[str, SkinnyboxError]:
    found = {}
    try:
        with opened(context.masters, context.folder, master) as moves:
            for name in names:
                try:
                    refuse(context, context.queries.machine(name), moves, None)
                except SkinnyboxError as error:
                    found[name] = error
    except SkinnyboxError as error:  # nobody can go there
        return dict.fromkeys(names, error)
    return found


def _blocked(action: Action, error: SkinnyboxError) -> Action:
    return replace(action, verb=Verb.BLOCKED, wanted=None, note=None, reason=error.message, hint=error.hint)


def rebased(
    context: Context, todo: Sequence[Action], starting: Starting, operation: Operation
) -> list[Outcome[str]]:
    """Those of one master after those of another, and so those that go there otherwise. What is in dispute is
    not decided here: `rebase` does that with what its options say."""
    alike: dict[tuple[str, Replay | None], list[Action]] = {}
    for action in todo:
        if action.wanted is not None:
            alike.setdefault((action.wanted.stack.master, action.wanted.replay), []).append(action)
    found: list[Outcome[str]] = []
    for (master, replay), some in sorted(alike.items(), key=lambda pair: pair[0][0]):
        found += _onto(context, master, replay, some, starting, operation)
    return found


def _onto(
    context: Context,
    master: str,
    replay: Replay | None,
    actions: Sequence[Action],
    starting: Starting,
    operation: Operation,
) -> list[Outcome[str]]:
    machines = [context.queries.view(action.instance) for action in actions if action.instance]
    stay_on = frozenset(a.name for a in actions if a.wanted and a.wanted.state is Target.RUNNING)
    most = starting.parallel if starting.wait else None
    after, wishes = ((), Wishes()) if replay is None else (replay.after, _wishes(replay))
    how = Rollout(
        timeout=starting.timeout, wait=starting.wait, max_unavailable=most, stay_on=stay_on, after=after
    )
    new = context.masters.by_id(master)
    done = run(context, machines, new, wishes, how, operation)
    return [_told(each) for each in done]


def _wishes(replay: Replay) -> Wishes:
    return Wishes(replay=True, without=replay.without, instead=replay.instead)


def _told(done: Outcome[Moved]) -> Outcome[str]:
    """One that was not begun is left to the next run, and its later actions with it."""
    found = done.value
    if found is None:
        return Outcome(name=done.name, error=done.error)
    if found.stage is Stage.NOT_BEGUN:
        return Outcome(name=done.name, error=SkinnyboxError(f"{done.name} stays on {found.old}: {found.why}"))
    return Outcome(name=done.name, value=f"master: {found.old} -> {found.new}, {found.stage}")
