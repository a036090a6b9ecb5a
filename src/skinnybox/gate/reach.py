"""Which machines somebody may see and change, and what they ask to be done with them.

A token may be that of one fleet: then the others' machines are as if they were not there.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from skinnybox.errors import NotFound
from skinnybox.fleet.jobs import Job, on_behalf_of
from skinnybox.fleet.labelled import meant
from skinnybox.fleet.names import select
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.fleet.view import MachineView
from skinnybox.gate.principal import Principal
from skinnybox.operation import Operation
from skinnybox.printable import quoted

ALL = ("*",)
_ADMINS = ("token", "repair")
"""What verbs begin with whose jobs only admins see; those of masters all see, and only admins end."""


def machines(fleet: Fleet, who: Principal, patterns: Sequence[str] = ALL) -> list[MachineView]:
    """Those that names and globs mean. NotFound when one means none that they reach."""
    if who.fleet is None:
        return fleet.machines(patterns)
    theirs = [machine for machine in fleet.machines() if machine.instance.fleet == who.fleet]
    if tuple(patterns) == ALL:
        return theirs
    chosen = set(select(patterns, [machine.name for machine in theirs]))
    return [machine for machine in theirs if machine.name in chosen]


def machine(fleet: Fleet, who: Principal, name: str) -> MachineView:
    """The one of this very name; NotFound also where it is another fleet's."""
    if who.fleet is None:
        return fleet.machine(name)
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
    act: Callable[[list[str], Operation], object],
) -> int:  # fmt: skip
    """The number of the job that does it to these machines. NotFound when there is one that is none."""
    found = names(fleet, who, patterns)
    return fleet.background.begin(who.actor, verb, found, lambda operation: act(found, operation))


def as_asked_by(who: Principal) -> AbstractContextManager[None]:
    """What is done during the block, and not by a job of its own, they ask for."""
    return on_behalf_of(who.actor)


def jobs(fleet: Fleet, who: Principal) -> list[Job]:
    """Those that they may know of, the latest first, without their logs."""
    sees = sight(fleet, who)
    return [job for job in reversed(fleet.jobs.all(logs=False)) if sees(job)]


def job(fleet: Fleet, who: Principal, number: int) -> Job:
    """NotFound also for one that they may not know of."""
    found = fleet.jobs.one(number)
    if not sight(fleet, who)(found):
        raise NotFound(f"there is no job {number}")
    return found


def may_cancel(who: Principal, found: Job) -> bool:
    return who.role is Role.ADMIN or not found.verb.startswith(("master", *_ADMINS))


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
