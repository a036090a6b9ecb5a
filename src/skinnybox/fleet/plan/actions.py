"""From what a fleet file wants and what there is to what must be done: a pure function of values.

Nothing is deleted, recreated or reset because a file was edited: each needs its own word in `Choices`. What
cannot be done in place becomes a BLOCKED action that says why, and what to do about it.
"""

from collections.abc import Iterable, Iterator

from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.create import whole_mib
from skinnybox.fleet.plan import never, of_data, of_release, of_seed, of_stack
from skinnybox.fleet.plan.addresses import clashes, kept_from
from skinnybox.fleet.plan.compare import Difference, at_once, settings
from skinnybox.fleet.plan.values import DANGEROUS, ORDER, Action, Choices, Desired, Target, Verb, Wanted
from skinnybox.fleet.trial_words import is_open
from skinnybox.fleet.view import Condition, MachineView

__all__ = [
    "DANGEROUS",
    "ORDER",
    "Action",
    "Choices",
    "Desired",
    "Target",
    "Verb",
    "Wanted",
    "extras",
    "plan",
    "runs",
]

_ON_DISK = (Verb.REBASE, Verb.GROW, Verb.SEED, Verb.RESET)


def plan(
    desired: Desired, actual: Iterable[MachineView], choices: Choices | None = None
) -> tuple[Action, ...]:
    """What makes `actual` be as `desired`, in the order in which it is to be done. Empty: nothing to do."""
    chosen = choices or Choices()
    machines = {machine.name: machine for machine in actual}
    refused = clashes(desired, machines, chosen)
    actions = [
        action
        for wanted in desired.machines
        if wanted.name not in refused
        for action in _one(wanted, machines.get(wanted.name), desired.fleet, chosen)
    ]
    actions = [of_release.settled(action, desired.releases, replay=chosen.replay) for action in actions]
    refused |= (kept := kept_from(desired, machines, actions))
    actions = [action for action in actions if action.name not in kept]
    hint = "another address; or that machine gets another first, or goes by --prune"
    actions += [Action(verb=Verb.BLOCKED, name=name, reason=why, hint=hint) for name, why in refused.items()]
    if chosen.prune:
        actions += [_prune(machine) for machine in extras(desired, machines.values())]
    return tuple(sorted(actions, key=lambda action: ORDER[action.verb]))


def extras(desired: Desired, actual: Iterable[MachineView]) -> list[MachineView]:
    """Machines of this fleet that its file no longer names. Only `prune` touches them."""
    named = {wanted.name for wanted in desired.machines}
    return [m for m in actual if m.instance.fleet == desired.fleet and m.name not in named]


def _prune(machine: MachineView) -> Action:
    if machine.phase is not Phase.DEFINED:
        return _busy(machine)
    if machine.instance.protected:
        return _protected(machine)
    return Action(verb=Verb.DELETE, name=machine.name, instance=machine.instance, note=_off_first(machine))


def _off_first(machine: MachineView) -> str | None:
    return "powered off first" if runs(machine) else None


def _one(wanted: Wanted, machine: MachineView | None, fleet: str, choices: Choices) -> Iterator[Action]:
    name = wanted.name
    if machine is None:
        yield Action(verb=Verb.CREATE, name=name, wanted=wanted)
        yield from _power(wanted, None)
        return
    if machine.phase is not Phase.DEFINED:
        yield _busy(machine)
        return
    if machine.instance.fleet != fleet:
        if not choices.adopt:
            yield _foreign(machine)
            return
        change = Difference(what="fleet", before=machine.instance.fleet, after=fleet)
        yield _of(Verb.ADOPT, wanted, machine, (change,))
    if name in choices.recreate and machine.instance.protected:
        yield _protected(machine)
        return
    if name in choices.recreate:
        yield Action(
            verb=Verb.RECREATE, name=name, wanted=wanted, instance=machine.instance,
            note=_off_first(machine),
        )  # fmt: skip
        yield from _power(wanted, None)
        return
    yield from _changes(wanted, machine, choices)
    yield from _power(wanted, machine)


def _changes(wanted: Wanted, machine: MachineView, choices: Choices) -> Iterator[Action]:
    for action in _wished(wanted, machine, choices):
        if action.verb in _ON_DISK and is_open(machine.instance):
            hint = f"skinnybox start {machine.name}, or rollback, and then apply again"
            yield _blocked(machine, "its rebase is not decided yet", hint, *action.differences)
        else:
            yield action


def _wished(wanted: Wanted, machine: MachineView, choices: Choices) -> Iterator[Action]:
    stays_on = runs(machine) and wanted.state is not Target.STOPPED
    yield from _stack(wanted, machine, choices)
    yield from _overlay(wanted, machine, stays_on)
    yield from _data(wanted, machine, stays_on)
    yield from _renewed(wanted, machine, choices, stays_on)


def _later(changes: tuple[Difference, ...]) -> str | None:
    """What of it does not count yet, named where some does."""
    late = [change.what for change in changes if not at_once([change])]
    if not late:
        return None
    which = f": {', '.join(late)}" if len(late) < len(changes) else ""
    return f"takes effect at its next start{which}"


def _of(
    verb: Verb, wanted: Wanted, machine: MachineView, changes: tuple[Difference, ...], note: str | None = None
) -> Action:
    return Action(
        verb=verb, name=machine.name, wanted=wanted, instance=machine.instance, differences=changes, note=note
    )


def _blocked(machine: MachineView, reason: str, hint: str, *changes: Difference) -> Action:
    return Action(
        verb=Verb.BLOCKED, name=machine.name, instance=machine.instance, differences=changes, reason=reason,
        hint=hint,
    )  # fmt: skip


def _busy(machine: MachineView) -> Action:
    doing = "created" if machine.phase is Phase.CREATING else "deleted"
    return _blocked(machine, f"it is being {doing} by another command", "apply again when that has ended")


def _protected(machine: MachineView) -> Action:
    return _blocked(
        machine, "it is protected", f"skinnybox set {machine.name} --no-protect, then apply again"
    )


def _foreign(machine: MachineView) -> Action:
    whose = (
        f"belongs to the fleet {machine.instance.fleet!r}" if machine.instance.fleet else "was made by hand"
    )
    return _blocked(
        machine, f"a machine of this name {whose}", "--adopt takes it into this fleet, or choose another name"
    )


def _stack(wanted: Wanted, machine: MachineView, choices: Choices) -> Iterator[Action]:
    dax, layers, name = wanted.specification.dax, wanted.specification.layers, machine.name
    has = machine.instance.stack
    found = of_stack.refused(has, wanted.stack, pinned=wanted.pinned, dax=dax, layers=layers)
    if found is None:
        return
    change, reason = found
    if change.what != of_stack.MASTER:
        yield _blocked(machine, reason, _recreate(machine), change)
    elif machine.instance.trial is not None:
        hint = f"skinnybox rebase {name} --commit, or skinnybox rollback {name}"
        yield _blocked(machine, "it was rebased, and that is not committed", hint, change)
    elif choices.rebase:
        yield _of(Verb.REBASE, wanted, machine, (change,), of_stack.TRIAL)
    else:
        yield _blocked(machine, reason, f"{of_stack.REBASE}; {_recreate(machine)}", change)


def _recreate(machine: MachineView) -> str:
    return f"--recreate {machine.name} makes it anew: all that is its own is lost"


def _overlay(wanted: Wanted, machine: MachineView, stays_on: bool) -> Iterator[Action]:
    has, to_be = machine.instance.overlay, whole_mib(wanted.specification.overlay)
    if has.allocation is not to_be.allocation:
        change = Difference(what="allocation", before=has.allocation, after=to_be.allocation)
        yield _blocked(machine, "an overlay stays reserved or sparse", _recreate(machine), change)
    change = Difference(what="overlay", before=has.size, after=to_be.size)
    if to_be.size < has.size:
        yield _blocked(machine, "an overlay never shrinks", _recreate(machine), change)
    elif to_be.size > has.size:
        yield _grow(wanted, machine, change, stays_on)


def _data(wanted: Wanted, machine: MachineView, stays_on: bool) -> Iterator[Action]:
    """What of it comes with a new seed, of_seed.py has."""
    has, to_be = machine.instance.data, wanted.specification.data
    for change, reason in never.refused(machine.instance, wanted.specification):
        yield _blocked(machine, reason, _recreate(machine), change)
    growth = of_data.growth(has, to_be)
    if growth is not None:
        yield _grow(wanted, machine, growth, stays_on)


def _grow(wanted: Wanted, machine: MachineView, change: Difference, stays_on: bool) -> Action:
    if stays_on:
        hint = of_data.by_hand(machine.name, change)
        return _blocked(machine, "a plan grows only what is stopped", hint, change)
    return _of(Verb.GROW, wanted, machine, (change,))


def _renewed(wanted: Wanted, machine: MachineView, choices: Choices, stays_on: bool) -> Iterator[Action]:
    """What is set is written down together with a new seed, where there is one: each may need the other."""
    has, to_be = machine.instance, wanted.specification
    in_place, seed = settings(has, to_be), of_seed.changes(machine.name, has, to_be)
    verb = Verb.RESET if machine.name in choices.reset else Verb.SEED
    refused = _against(verb, wanted, machine, stays_on) if seed or verb is Verb.RESET else None
    if refused is None and (seed or verb is Verb.RESET):
        yield _of(verb, wanted, machine, (*in_place, *seed), "applied at its next start")
        return
    waiting = tuple(of_seed.bound(in_place, seed)) if refused else ()
    alone = tuple(change for change in in_place if change not in waiting)
    if alone:
        yield _of(Verb.SET, wanted, machine, alone, _later(alone) if stays_on else None)
    if refused:
        yield _blocked(machine, *refused, *waiting, *seed)


def _against(verb: Verb, wanted: Wanted, machine: MachineView, stays_on: bool) -> tuple[str, str] | None:
    """What speaks against a new seed, and what to do about it."""
    if never.bares(machine.instance, wanted.specification):
        return never.BARE, _recreate(machine)
    if verb is Verb.SEED and of_seed.loses(machine.instance, wanted.specification):
        return of_seed.LOST, f"--reset {machine.name} says that it may be, and empties it"
    if stays_on:
        what = "a reset" if verb is Verb.RESET else "a new seed"
        return f"{what} needs it stopped", f"skinnybox stop {machine.name}, then apply again"
    return None


def _power(wanted: Wanted, machine: MachineView | None) -> Iterator[Action]:
    """`machine` None: it is made by this plan, and off until started."""
    on = machine is not None and runs(machine)
    instance = machine.instance if machine else None
    if wanted.state is Target.RUNNING and not on:
        yield Action(verb=Verb.START, name=wanted.name, wanted=wanted, instance=instance)
    elif wanted.state is Target.STOPPED and on:
        yield Action(verb=Verb.STOP, name=wanted.name, wanted=wanted, instance=instance)
    elif wanted.state is Target.RUNNING and machine and machine.condition is Condition.FAILED:
        hint = f"skinnybox kill {machine.name}, then apply again"
        yield _blocked(machine, f"it runs, but failed: {machine.reason}", hint)


def runs(machine: MachineView) -> bool:
    return machine.status is not None and machine.status.pid is not None
