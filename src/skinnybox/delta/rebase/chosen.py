"""What somebody chose in a machine, and the new master has not: nobody can have both.

A package on hold is the one that packages.py asks about. Here are the others of which nothing would be left
but a word that says nothing: a service that was enabled, and the choice of an alternative, by hand. Of what
goes on saying what it said, and means nothing until something comes there again (a mask, a statoverride, a
diversion), nothing is to be asked.
"""

from collections.abc import Callable, Iterator, Mapping

from skinnybox.delta.rebase.owners import Owners
from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.records.alternative_group import MANUAL
from skinnybox.delta.rebase.records.generic_links import Tree
from skinnybox.delta.rebase.records.sides import Machine, Sides
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.services import Wants, file_of
from skinnybox.delta.rebase.tasks import FOLDERS
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.masters.system import dpkg
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Notes, Source
from skinnybox.masters.system.values import System

KIND = "gone"
_ASKED = frozenset((Choice.FAIL, Choice.MERGE))
_SERVICE = ".service"
Seen = Callable[[str], bool]


def decisions(
    three: tuple[Source, Source, Machine],
    wants: tuple[Wants, Wants, Wants],
    old: System,
    settled: tuple[Mapping[str, Settled], Owners],
    policy: Policy,
) -> Iterator[Decision]:
    """Of the old master, the new one and the machine. `settled`: whose packages there are afterwards, and
    whose paths are whose. Who spoke of the path, or of all conflicts, has said that it may go."""
    before, new, machine = three
    packages, owners = settled
    sides = Sides(old=before, new=new, machine=machine, packages=packages, owners=owners, policy=policy)
    there = Tree(sides).there
    yield from _enabled(machine, wants[2] - wants[0], there, policy)
    if not all(map(machine.untouched, dpkg.OF_ALTERNATIVES)):
        yield from _alternatives(machine, old, there, policy)


def _enabled(machine: Machine, own: Wants, there: Seen, policy: Policy) -> Iterator[Decision]:
    """What its unit was is not there afterwards, at any place that systemd looks at."""
    for unit in sorted({unit for unit, _ in own}):
        places = [f"{folder}/{file_of(unit)}" for folder in FOLDERS]
        if unit.endswith(_SERVICE):
            places.append(f"etc/init.d/{unit.removesuffix(_SERVICE)}")
        if any(_has(machine, place) for place in places) and not any(map(there, places)):
            targets = sorted(target for each, target in own if each == unit)
            path = f"etc/systemd/system/{targets[0]}.wants/{unit}"
            detail = f"was enabled for {', '.join(targets)}, and its unit is gone"
            yield _decided(Subject.SERVICE, unit, Fate.STOP, detail, policy.choice(_raw(path)))


def _alternatives(machine: Machine, old: System, there: Seen, policy: Policy) -> Iterator[Decision]:
    before = {each.name: each for each in old.alternatives}
    for each in dpkg.alternatives(machine, Notes()):
        own = each.mode == MANUAL and before.get(each.name) != each
        if own and _has(machine, each.target.lstrip("/")) and not there(each.target):
            path = f"etc/alternatives/{each.name}"
            detail = f"{each.target} was chosen by hand, and is gone: the best of what is there follows"
            yield _decided(Subject.ALTERNATIVE, each.name, Fate.TAKE, detail, policy.choice(_raw(path)))


def _decided(subject: Subject, name: str, fate: Fate, detail: str, said: Choice) -> Decision:
    asked = said in _ASKED
    return Decision(
        subject=subject, kind=KIND, fate=Fate.ASK if asked else fate, name=name, detail=detail,
        standing=Standing.CONFLICT if asked else Standing.CLEAN,
    )  # fmt: skip


def _has(machine: Machine, path: str) -> bool:
    folder, _, name = Places(machine).of(path).rpartition("/")
    return name in machine.names(folder)


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
