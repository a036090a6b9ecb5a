"""Doing what a plan says: one kind of action after the other, several machines at once where that helps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import groupby

from skinnybox.errors import Blocked, SkinnyboxError
from skinnybox.fleet import batch, create, encrypted, knowing, power, rebase_trial, trials
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.fleet.change import Changes, altered, change
from skinnybox.fleet.context import Context
from skinnybox.fleet.delete import delete
from skinnybox.fleet.grow import grow
from skinnybox.fleet.plan import of_data, rebasing
from skinnybox.fleet.plan.actions import Action, Verb, Wanted
from skinnybox.fleet.plan.descriptions import describe
from skinnybox.fleet.plan.turns import in_turn
from skinnybox.fleet.power import Starting
from skinnybox.fleet.rebase_trial import Trying
from skinnybox.fleet.reset import reset
from skinnybox.fleet.specification import check_space, places
from skinnybox.fleet.stacks import add_to_host
from skinnybox.fleet.update_seed import reseed
from skinnybox.fleet.view import MachineView
from skinnybox.model import DiskKind, Forward, Instance, fields
from skinnybox.model.datadisk import widened
from skinnybox.operation import Operation

_ALL = 64


class Work:
    """One run. What failed on a machine keeps later actions from it, never from others."""

    def __init__(self, context: Context, starting: Starting, operation: Operation) -> None:
        self._context = context
        self._host, self._catalog, self._queries = context.host, context.catalog, context.queries
        self._starting = starting
        self._operation = operation

    def run(self, actions: Sequence[Action]) -> list[Outcome[str]]:
        """Outcomes in the order of the work; each value says what was done."""
        done: list[Outcome[str]] = []
        for (verb, aside), turns in groupby(
            in_turn(actions), key=lambda turn: (turn.action.verb, turn.aside)
        ):
            failed = {outcome.name for outcome in done if not outcome.ok}
            group = [turn.action for turn in turns]
            todo = [action for action in group if action.name not in failed or verb is Verb.BLOCKED]
            if aside:  # told with the rest of it, but for what keeps it from that
                done += [each for each in self._each(verb, self._step_aside, todo, 1) if not each.ok]
            else:
                done += self._kind(verb, todo)
        return done

    def _kind(self, verb: Verb, todo: Sequence[Action]) -> list[Outcome[str]]:
        match verb:
            case Verb.REBASE:
                return rebasing.rebased(self._context, todo, self._starting, self._operation)
            case Verb.BLOCKED:
                return [Outcome(name=a.name, error=Blocked(_why(a), hint=a.hint)) for a in todo]
            case Verb.CREATE:
                return self._create(todo, "created")
            case Verb.RECREATE:
                return self._create(todo, "made anew")
            case Verb.START:
                return self._each(
                    verb, self._start, todo, self._starting.parallel or self._queries.boots_at_once
                )
            case Verb.STOP:
                return self._each(verb, self._stop, todo, _ALL)
        deeds: dict[Verb, Callable[[Action, Operation], str]] = {
            Verb.DELETE: self._delete,
            Verb.ADOPT: self._set,
            Verb.SET: self._set,
            Verb.GROW: self._grow,
            Verb.SEED: self._seed,
            Verb.RESET: self._reset,
        }
        return self._each(verb, deeds[verb], todo, 1)

    def _each(
        self, verb: Verb, deed: Callable[[Action, Operation], str], todo: Sequence[Action], parallel: int
    ) -> list[Outcome[str]]:
        return batch.each(
            todo,
            deed,
            name=lambda action: action.name,
            task=str(verb),
            operation=self._operation,
            parallel=parallel,
        )

    def _now(self, action: Action) -> MachineView:
        """The very machine the plan was made for, as it is now; for one just made, that of the name."""
        if action.instance is not None:
            return self._queries.view(action.instance)
        return self._queries.machine(action.name)

    def _delete(self, action: Action, operation: Operation) -> str:
        """Off before it is marked: the next run could not clear away what is marked and still runs."""
        machine = self._now(action)
        self._host.power_off(machine.instance)
        delete(self._host, self._catalog, machine, force=True)
        return "deleted"

    def _stop(self, action: Action, operation: Operation) -> str:
        instance = self._now(action).instance
        power.stop(self._host, lambda: self._queries.view(instance), power.Stopping(), operation)
        return "stopped"

    def _start(self, action: Action, operation: Operation) -> str:
        if not self._starting.wait:
            return self._up(action, operation)
        with self._queries.rising.turn(operation, self._starting.parallel):
            return self._up(action, operation)

    def _up(self, action: Action, operation: Operation) -> str:
        found = self._queries.settled(self._queries.machine(action.name), operation)
        if trials.is_built(found.instance):
            how = Trying(wait=self._starting.wait, timeout=self._starting.timeout)
            return _told(rebase_trial.started(self._context, found, how, operation), self._starting)
        master = self._context.masters.bootable(found.instance.stack)
        power.start(self._host, found, master, self._context.masters.folder(master), operation)
        encrypted.forget_keys(self._catalog, found.instance)
        look = self._view(found.instance)
        if self._starting.wait:
            power.wait_ready(self._host, look, self._starting.timeout, operation)
        return _told(look(), self._starting)

    def _view(self, instance: Instance) -> power.View:
        return lambda: self._queries.view(instance)

    def _step_aside(self, action: Action, operation: Operation) -> str:
        """Give up what others are to have: all of a machine that is made anew, else its addresses, or the
        ports that it will not have."""
        if action.verb is Verb.RECREATE:
            return self._delete(action, operation)
        machine, to_be = self._now(action), _wanted(action).specification
        now = machine.instance
        kept = tuple(forward for forward in now.forwards if forward in to_be.forwards)
        if action.verb is Verb.SET or set(places(now)) <= set(places(to_be)):
            change(self._host, self._catalog, now, {"forwards": kept}, self._ports())
        else:
            power.refuse_running(machine, "a new seed")
            alter = partial(_without_addresses, forwards=kept)
            reseed(self._host, self._catalog, now, alter, operation)
        return "stepped aside"

    def _set(self, action: Action, operation: Operation) -> str:
        changes = _changes(action)
        change(self._host, self._catalog, self._now(action).instance, changes, self._ports())
        said = ", ".join(describe(difference) for difference in action.differences)
        return f"{said}; {action.note}" if action.note else said

    def _ports(self) -> Iterator[int]:
        return free_ports(self._catalog.ports(), self._context.folder)

    def _reset(self, action: Action, operation: Operation) -> str:
        """Overlay first, record second: killed in between, the next plan still sees the old seed and asks."""
        machine = self._now(action)
        power.refuse_running(machine, "reset")
        self._refuse_unknown(action, machine)
        renewed = reset(
            self._host, self._catalog, machine.instance, operation, partial(self._renewed, _wanted(action))
        )
        return f"reset, generation {renewed.seed.generation}"

    def _seed(self, action: Action, operation: Operation) -> str:
        machine = self._now(action)
        power.refuse_running(machine, "a new seed")
        self._refuse_unknown(action, machine)
        alter = partial(self._renewed, _wanted(action))
        changed = reseed(self._host, self._catalog, machine.instance, alter, operation)
        return f"a new seed, generation {changed.seed.generation}, is applied at its next start"

    def _renewed(self, wanted: Wanted, now: Instance) -> Instance:
        """As it is to be, all at once: its memory and what is thrown away there, its bridge and its address
        on it. Machine-id and generation stay: whoever gives it the seed raises the last."""
        return altered(self._host, _as_wanted(wanted, now), self._ports())

    def _refuse_unknown(self, action: Action, machine: MachineView) -> None:
        """The master that it was made from may be an older one than the file's newest."""
        master = self._context.masters.by_id(machine.instance.stack.master)
        wanted = _wanted(action).specification
        knowing.check(wanted, master)
        knowing.check_cloud_init(wanted, master, self._context.masters.folder(master))

    def _grow(self, action: Action, operation: Operation) -> str:
        machine, specification = self._now(action), _wanted(action).specification
        power.refuse_running(machine, "grow")
        disk, size = DiskKind.OVERLAY, specification.overlay.size
        if specification.data is not None and action.differences[0].what == of_data.SIZE:
            disk, size = DiskKind.DATA, specification.data.size
        grow(self._host, self._catalog, machine.instance, size, by=False, operation=operation, disk=disk)
        return ", ".join(describe(difference) for difference in action.differences)

    def _create(self, todo: Sequence[Action], done: str) -> list[Outcome[str]]:
        """So many at a time as become visible together. What is refused for all is told for each."""
        wanted = [_wanted(action) for action in todo]
        if not wanted:
            return []
        try:
            return self._create_all(wanted, done)
        except SkinnyboxError as error:
            return [Outcome(name=one.name, error=error) for one in wanted]

    def _create_all(self, wanted: Sequence[Wanted], done: str) -> list[Outcome[str]]:
        masters = self._context.masters
        with ExitStack() as kept:
            stacks = {one.stack.images: one.stack for one in wanted}
            if any(stack.layers for stack in stacks.values()):
                kept.enter_context(self._context.layers.held())
            for _, stack in sorted(stacks.items()):
                master = kept.enter_context(masters.kept(stack.master))
                add_to_host(self._context, master, stack, self._operation)
            self._context.catalog.make()
            host_kind.note(self._context.folder, self._host.features.kind)
            instances = self._instances(wanted)
            encrypted.check_keys({each.name: each.encrypt for each in instances}, self._context.folder)
            self._host.refuse_names([instance.name for instance in instances])
            self._context.catalog.check_ports(instances)
            check_space(self._host, (disk for instance in instances for disk in instance.disks.values()))
            found: list[Outcome[str]] = []
            for start in range(0, len(instances), create.BATCH):
                some = instances[start : start + create.BATCH]
                found += self._create_some(some, done, self._counting(start, len(instances)))
            return found

    def _instances(self, wanted: Sequence[Wanted]) -> list[Instance]:
        ports = self._ports()
        return [create.instance(one.name, one.stack, one.specification, ports) for one in wanted]

    def _create_some(
        self, instances: Sequence[Instance], done: str, operation: Operation
    ) -> list[Outcome[str]]:
        try:
            at_once = self._host.features.creates_at_once
            create.make(self._host, self._catalog, instances, operation, at_once)
            return [Outcome(name=instance.name, value=done) for instance in instances]
        except SkinnyboxError as error:
            return [Outcome(name=instance.name, error=error) for instance in instances]

    def _counting(self, before: int, total: int) -> Operation:
        """That of one batch, heard as a part of all."""
        all_of_it = self._operation
        return all_of_it.child(
            lambda step: all_of_it.report(replace(step, done=before + step.done, total=total))
        )


def _told(machine: MachineView, starting: Starting) -> str:
    return f"ready after {machine.boot_seconds or 0:.1f} s" if starting.wait else str(machine.condition)


def _wanted(action: Action) -> Wanted:
    if action.wanted is None:
        raise ValueError(f"{action.verb} {action.name} without what is wanted")
    return action.wanted


def _changes(action: Action) -> Changes:
    """What differs, as the values that are wanted, and not the words that a plan shows of them."""
    named = {field.told: field for field in fields.machine_fields() if field.told}
    differing = [named[difference.what] for difference in action.differences]
    specification = _wanted(action).specification
    values = {field.name: getattr(specification, field.given) for field in differing if field.given}
    changes: Changes = Changes(**values)  # type: ignore[typeddict-item]
    return changes


def _as_wanted(wanted: Wanted, now: Instance) -> Instance:
    """But for what only grows."""
    specification, way = wanted.specification, fields.Transition
    given = {"hostname": wanted.name, **fields.given(specification, fields.SEED)}
    others = {
        **fields.given(specification, fields.INSTANCE, way.SET),
        **fields.given(specification, fields.INSTANCE, way.SEED),
    }
    return replace(now, seed=replace(now.seed, **given), data=widened(now.data, specification.data), **others)


def _without_addresses(now: Instance, forwards: tuple[Forward, ...]) -> Instance:
    nics = tuple(replace(nic, network=None) for nic in now.seed.nics)
    return replace(now, forwards=forwards, seed=replace(now.seed, network=None, nics=nics))


def _why(action: Action) -> str:
    what = ", ".join(describe(difference) for difference in action.differences)
    return f"{action.name}: {what}: {action.reason}" if what else f"{action.name}: {action.reason}"
