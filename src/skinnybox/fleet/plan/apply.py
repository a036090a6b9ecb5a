"""Fleet files at work: what they would do, and doing it.

`apply` may be interrupted at any point, also by kill -9, and goes on when it is given again: every action is
one that the catalog and the host survive by themselves, and the next plan is made from what there is then.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.errors import Conflict, NoSpace, SkinnyboxError
from skinnybox.fleet.catalog.database import make_folder
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.context import Context
from skinnybox.fleet.create import whole_mib
from skinnybox.fleet.names import select
from skinnybox.fleet.plan.actions import Action, Choices, Desired, Verb, extras, plan
from skinnybox.fleet.power import Starting
from skinnybox.fleet.repair import unfinished
from skinnybox.fleet.spec.reading import Sent, load
from skinnybox.fleet.spec.resolve import desired
from skinnybox.fleet.specification import check_space
from skinnybox.fleet.view import MachineView
from skinnybox.model import DataDisk, Overlay
from skinnybox.operation import Operation

if TYPE_CHECKING:
    from skinnybox.fleet.batch import Outcome

_MAKING = (Verb.CREATE, Verb.RECREATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`extras` are names of machines that the fleet's file does not have any more: they stay. `refusal` is
    why none of it can be done, whatever the machines are."""

    fleet: str
    actions: tuple[Action, ...]
    extras: tuple[str, ...]
    refusal: SkinnyboxError | None = None


Agree = Callable[[Plan], None]
"""Asked before anything is done; raises when the answer is no."""


def agreed(plan: Plan) -> None:
    """The Agree of who has said yes beforehand."""


def make_plan(context: Context, file: Path | Sent, choices: Choices) -> Plan:
    """What `apply` would do now. Changes nothing."""
    return _plan(context, file, choices, context.known_public_key)


def _plan(context: Context, file: Path | Sent, choices: Choices, public_key: str) -> Plan:
    wanted = desired(load(file), context.masters, context.kept_layers, context.host.features, public_key)
    actual = _actual(context)
    chosen = _named(choices, wanted)
    if chosen.rebase:
        wanted = replace(wanted, releases=_releases(context, wanted, actual))
    left = () if choices.prune else tuple(machine.name for machine in extras(wanted, actual))
    actions = plan(wanted, actual, chosen)
    if chosen.rebase:
        from skinnybox.fleet.plan import rebasing

        actions = rebasing.judged(context, actions)
    return Plan(fleet=wanted.fleet, actions=actions, extras=left, refusal=_no_room(context, actions))


def _releases(context: Context, wanted: Desired, actual: Sequence[MachineView]) -> dict[str, str]:
    """Of the masters that machines would go from and to, as far as that can be read."""
    to_be = {each.name: each.stack.master for each in wanted.machines}
    now = {each.name: each.instance.stack.master for each in actual if each.name in to_be}
    moving = {master for name in now for master in (now[name], to_be[name]) if now[name] != to_be[name]}
    found = {}
    for master in sorted(moving):
        with suppress(SkinnyboxError):  # whoever rebases from or onto it says why
            release = context.masters.system(master.removeprefix("sha256:")).release
            found[master] = " ".join(release.get(key, "") for key in ("id", "version_id"))
    return found


def _no_room(context: Context, actions: Sequence[Action]) -> SkinnyboxError | None:
    """Said once for all machines that are to be made: each by itself may well fit."""
    gone = [a.instance for a in actions if a.instance and a.verb in (Verb.DELETE, Verb.RECREATE)]
    made = [disk for a in actions for disk in _new_disks(a)]
    try:
        freed = context.host.space(gone, ()).allocated if gone else 0
        check_space(context.host, map(whole_mib, made), freed)
    except NoSpace as error:
        return error
    return None


def _new_disks(action: Action) -> tuple[Overlay | DataDisk, ...]:
    """All of a machine that is made, and the data disk that one is given."""
    if action.wanted is None:
        return ()
    specification, now = action.wanted.specification, action.instance
    if action.verb in _MAKING:
        return specification.disks
    given = action.verb in (Verb.SEED, Verb.RESET) and now is not None and now.data is None
    return (specification.data,) if given and specification.data is not None else ()


def apply(
    context: Context,
    file: Path | Sent,
    choices: Choices,
    starting: Starting,
    agree: Agree,
    operation: Operation,
) -> "list[Outcome[str]]":
    """Make it so. Conflict while another apply is at work here; NoSpace, with nothing done, when there is no
    room for all that is to be made. Each outcome says what was done."""
    from skinnybox.fleet.plan.work import Work

    with _exclusive(context.folder):
        unfinished.finish(context.host, context.catalog)
        _settle(context, operation)
        found = _plan(context, file, choices, context.public_key)
        if found.refusal is not None:
            raise found.refusal
        agree(found)
        return Work(context, starting, operation).run(found.actions)


def _settle(context: Context, operation: Operation) -> None:
    """What is over of trials is decided first: the plan is of what there is then. One that cannot be is told,
    and costs the others nothing."""
    for machine in context.queries.machines():
        try:
            context.queries.settled(machine, operation)
        except SkinnyboxError as error:
            operation.note(error.message)


def _actual(context: Context) -> list[MachineView]:
    """The machines; without those that an ended process left half made or half deleted: they are cleared
    away before anything is done."""
    half = [row for row in context.catalog.unfinished() if row.phase is not Phase.DEFINED]
    leftover = {row.instance.uuid for row in half}
    return [machine for machine in context.queries.machines() if machine.instance.uuid not in leftover]


def _named(choices: Choices, wanted: Desired) -> Choices:
    """Patterns to names. NotFound for one that the file does not have."""
    names = [machine.name for machine in wanted.machines]
    return Choices(
        prune=choices.prune,
        adopt=choices.adopt,
        rebase=choices.rebase,
        replay=choices.replay,
        recreate=frozenset(select(choices.recreate, names)),
        reset=frozenset(select(choices.reset, names)),
    )


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """The lock is on the state folder itself and ends with the process."""
    make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Conflict(
            "another `skinnybox apply` is at work in this state folder", hint="wait until it ends"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)
