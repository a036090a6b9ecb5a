"""Which machines somebody may see and change, and what they ask to be done with them.

A token may be that of one fleet: then the others' machines are as if they were not there.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from skinnybox.errors import NotFound
from skinnybox.fleet import bound
from skinnybox.fleet.jobs import Job, Wanted, on_behalf_of
from skinnybox.fleet.labelled import meant
from skinnybox.fleet.names import select
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.fleet.view import MachineView
from skinnybox.gate import places, readings
from skinnybox.gate.principal import Principal
from skinnybox.operation import Operation
from skinnybox.printable import quoted

ALL = ("*",)
_ADMINS = ("token", "repair")
"""What verbs begin with whose jobs only admins see; those of masters all see, and only admins end."""


def machines(fleet: Fleet, who: Principal, patterns: Sequence[str] = ALL) -> list[MachineView]:
    """Those that names and globs mean. NotFound when one means none that they reach."""
    if who.fleet is None:
        return [places.machine(who, machine) for machine in fleet.machines(patterns)]
    every = (places.machine(who, machine) for machine in fleet.machines())
    theirs = [machine for machine in every if machine.instance.fleet == who.fleet]
    if tuple(patterns) == ALL:
        return theirs
    chosen = set(select(patterns, [machine.name for machine in theirs]))
    return [machine for machine in theirs if machine.name in chosen]


def machine(fleet: Fleet, who: Principal, name: str) -> MachineView:
    """The one of this very name; NotFound also where it is another fleet's."""
    if who.fleet is None:
        return places.machine(who, fleet.machine(name))
    found = machines(fleet, who, [name])  # which knows of no other, and so names none as what was meant
    if len(found) != 1:
        raise NotFound(f"{quoted(name)} means {len(found)} machines, and one is asked for")
    return found[0]


def names(
    fleet: Fleet, who: Principal, patterns: Sequence[str] = ALL, filters: Sequence[str] = ()
) -> list[str]:
    """Of these the names, if all filters hold (labelled.py). NotFound when there is none."""
    found = machines(fleet, who, patterns)
    return meant(found, filters) if filters else [machine.name for machine in found]


def begin(
    fleet: Fleet, who: Principal, verb: str, patterns: Sequence[str],
    act: Callable[[list[str], Operation], object], filters: Sequence[str] = (),
) -> tuple[int, list[str]]:  # fmt: skip
    """The number of the job that does it to these machines, and their names. NotFound when there is one that
    is none. It is done to the machines there are now, and to no other that has the name of one by then."""
    found = machines(fleet, who, patterns)
    called = meant(found, filters) if filters else [machine.name for machine in found]
    these = {machine.name: machine.instance.uuid for machine in found}

    def bound_act(operation: Operation) -> object:
        readings.awaited([*these.values()], operation)
        with bound.to(these):
            return act(called, operation)

    return fleet.background.begin(who.actor, verb, called, bound_act), called


def as_asked_by(who: Principal) -> AbstractContextManager[None]:
    """What is done during the block, and not by a job of its own, they ask for."""
    return on_behalf_of(who.actor)


def jobs(fleet: Fleet, who: Principal, wanted: Wanted, most: int, offset: int = 0) -> list[Job]:
    """Those of the wanted that they may know of, the latest first, without their logs."""
    found = fleet.jobs.some(knowable(fleet, who, wanted), most, offset)
    return [places.job(who, job) for job in found]


def knowable(fleet: Fleet, who: Principal, wanted: Wanted) -> Wanted:
    """Of the wanted those that they may know of: as `sight` says of one."""
    if who.fleet is None:
        return replace(wanted, hidden=() if who.role is Role.ADMIN else _ADMINS)
    return replace(wanted, hidden=_ADMINS, only=tuple(names(fleet, who)), token=who.token)


def job(fleet: Fleet, who: Principal, number: int) -> Job:
    """NotFound also for one that they may not know of."""
    found = fleet.jobs.one(number)
    if not sight(fleet, who)(found):
        raise NotFound(f"there is no job {number}")
    return places.job(who, found)


def may_cancel(who: Principal, found: Job) -> bool:
    return who.role is Role.ADMIN or not found.verb.startswith(("master", "layer", *_ADMINS))


def sight(fleet: Fleet, who: Principal) -> Callable[[Job], bool]:
    """Who reaches one fleet sees what is done to its machines only, and what they asked for themselves."""
    if who.fleet is None:
        return lambda job: who.role is Role.ADMIN or not job.verb.startswith(_ADMINS)
    theirs = set(names(fleet, who))

    def sees(job: Job) -> bool:
        if job.origin.endswith(f", token {who.token}"):
            return True
        return bool(job.subjects) and theirs.issuperset(job.subjects) and not job.verb.startswith(_ADMINS)

    return sees
