"""What a new master under machines that are off would mean for each of them. Nothing is written."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Lock

from skinnybox.delta.rebase import masters
from skinnybox.delta.rebase.packages import SCRIPTS_TO_RUN
from skinnybox.delta.rebase.planning import planned
from skinnybox.delta.rebase.rules import Policy
from skinnybox.delta.rebase.tasks import words_of
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.delta.settled import Unsettled
from skinnybox.errors import Blocked
from skinnybox.fleet import layers_fit, rebase_data, rebase_refused, stack_files
from skinnybox.fleet.context import Context
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Features
from skinnybox.layout import LAYERS
from skinnybox.masters.catalogue import folder
from skinnybox.masters.layers.catalogue import layers_of
from skinnybox.model import Instance, Layer, Master, Stack
from skinnybox.operation import Operation
from skinnybox.overlays.journal import replayed_copy

KNOWS_TASKS = 4
"""The protocol of guest parts from which on they finish a rebase."""
MOST_TOLD = 1000
"""Decisions of one machine that are kept for a table of many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Of one machine. `counts` by subject, kind, fate and standing; `told` are what is in dispute and what
    people have to know, MOST_TOLD of them at most. `there`: it boots from that master already."""

    name: str
    old: str
    new: str
    counts: Counter[tuple[str, str, str, str]]
    told: tuple[Decision, ...] = ()
    renumbered: int = 0
    there: bool = False

    @property
    def standing(self) -> Standing:
        found = {standing for _, _, _, standing in self.counts}
        return next((each for each in (Standing.BLOCKED, Standing.CONFLICT) if each in found), Standing.CLEAN)

    def number(self, standing: Standing) -> int:
        return sum(count for key, count in self.counts.items() if key[3] == standing)


class Moves:
    """From the masters that machines have to one other; what is read of each is read once. Thread-safe."""

    def __init__(self, known: Masters, store: Path, new: Master, scratch: Path, held: ExitStack) -> None:
        self.new = new
        self._known = known
        self._store = store
        self._scratch = scratch
        self._held = held
        self._opened: dict[tuple[str, ...], masters.Files] = {}
        self._fitting: set[tuple[str, ...]] = {()}
        self._lock = Lock()

    def files(self, identity: str, stack: Stack) -> masters.Files:
        """Of a master by its id, which nobody removes meanwhile, with the layers of the stack above it.
        NotFound, Corrupt, Unsupported."""
        key = (identity, *stack.layer_ids)
        with self._lock:
            if key not in self._opened:
                master = self._held.enter_context(self._known.kept(identity.removeprefix("sha256:")))
                found = stack_files.opened(self._scratch, master, stack)
                self._opened[key] = self._held.enter_context(found)
            return self._opened[key]

    def layers(self, instance: Instance, features: Features) -> tuple[Layer, ...]:
        """Those that it has, and keeps. Blocked, Unsupported where one does not go above the new master or
        beside another, or its guest part would not find them."""
        store = self._scratch / LAYERS
        found = tuple(layer for layer, _ in layers_of(store, instance.stack))
        if found:
            layers_fit.refuse_guest(self.new, features)
        if instance.stack.layer_ids not in self._fitting:  # once for all machines: it reads whole indexes
            layers_fit.refuse(found, self.new, partial(folder, store), partial(folder, self._store))
            self._fitting.add(instance.stack.layer_ids)
        return found

    def master(self, instance: Instance) -> Master:
        """The one that it has. NotFound when that is gone."""
        return self._known.by_id(instance.stack.master)

    def refuse_other_architecture(self, instance: Instance) -> None:
        """Blocked. NotFound when its master is gone."""
        old = self.master(instance)
        if old.architecture != self.new.architecture:
            raise Blocked(
                f"{instance.name} is {old.architecture}, and {self.new.reference} is {self.new.architecture}",
                hint="create a machine from it",
            )


@contextmanager
def opened(known: Masters, scratch: Path, onto: str) -> Iterator[Moves]:
    """Moves to that master, by any reference. Nobody seals or removes a master meanwhile. `scratch` is the
    state folder."""
    with ExitStack() as held:
        new = held.enter_context(known.kept(onto))
        yield Moves(known, scratch / "masters", new, scratch, held)


@contextmanager
def decisions(
    context: Context,
    machine: MachineView,
    moves: Moves,
    policy: Policy,
    operation: Operation,
    check: str | None = None,
) -> Iterator[Iterator[Decision]]:
    """All of one machine; its overlay is nobody else's meanwhile. Raises Corrupt, Conflict, and what
    rebase_refused.told does."""
    refused = rebase_refused.told(context, machine, moves, check)
    instance = machine.instance
    with ExitStack() as held:
        old, new = (moves.files(each, instance.stack) for each in (instance.stack.master, moves.new.id))
        overlay = held.enter_context(context.host.open_overlay(instance, operation))
        try:
            found = held.enter_context(planned(overlay, old, new, policy, instance.stack.images))
        except Unsettled:
            settled = held.enter_context(replayed_copy(overlay))
            found = held.enter_context(planned(settled, old, new, policy, instance.stack.images))
        told = rebase_data.told(_attended(found, operation), instance, (moves.master(instance), moves.new))
        yield chain(refused, _with_guest_part(told, moves.new))


def summary(machine: MachineView, new: Master, found: Iterable[Decision]) -> Summary:
    """Of decisions as they go by."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    told: list[Decision] = []
    renumbered = 0
    for each in found:
        counts[each.subject, each.kind, each.fate, each.standing] += 1
        renumbered += bool(each.owner)
        if len(told) < MOST_TOLD and is_worth_telling(each):
            told.append(each)
    return Summary(
        name=machine.name,
        old=machine.instance.stack.reference,
        new=new.reference,
        counts=counts,
        told=tuple(told),
        renumbered=renumbered,
    )


def is_worth_telling(found: Decision) -> bool:
    """Of many: what is in dispute, starts, stops, is generated or only reported, and accounts that move."""
    return found.standing is not Standing.CLEAN or found.fate in (
        Fate.REINSTALL,
        Fate.FOLLOW,
        Fate.REMOVE,
        Fate.PURGE,
        Fate.START,
        Fate.STOP,
        Fate.REGENERATE,
        Fate.REPORT,
    )


def _attended(found: Iterator[Decision], operation: Operation) -> Iterator[Decision]:
    for each in found:
        operation.check("rebase")
        yield each


def _with_guest_part(found: Iterator[Decision], new: Master) -> Iterator[Decision]:
    """A guest part says nothing of what it does not know, so its machine would be taken for ready."""
    left = ""
    for each in found:
        yield each
        scripts = each.subject is Subject.PACKAGE and SCRIPTS_TO_RUN in each.detail
        if scripts or (each.fate is Fate.REGENERATE and words_of(each.name)):
            left = left or each.name
    if left and new.guest_protocol < KNOWS_TASKS:
        yield Decision(
            subject=Subject.PACKAGE,
            kind="guest part",
            fate=Fate.ASK,
            name="skinnybox-guest",
            detail=f"the first start has more to do (for {left}) than the guest part of {new.reference} "
            f"knows: it speaks protocol {new.guest_protocol}, and that is known from {KNOWS_TASKS} on. Build "
            "or import the master again",
            standing=Standing.BLOCKED,
        )
