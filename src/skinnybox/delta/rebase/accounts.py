"""Accounts by name: whose number moves, so that no file belongs to somebody else afterwards.

The numbers in a sealed master are what they are; so it is the machine's that move. A machine need never have
touched /etc/passwd for that: two packages more in a recipe are enough, and its secrets are another's.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.masters.accounts import Accounts
from skinnybox.masters.numbers import MACHINES, PEOPLE
from skinnybox.masters.renumber import Renumbering

_FIXED = (0, 65534, 65535)
"""Root, and who is nobody: programs know these by number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Of users or of groups: what becomes of a number in the machine, where it is another afterwards.

    `known` are the numbers that have a name in the machine, `given` those that have one afterwards, where it
    is the new stack's account or one of the machine that moves there."""

    moved: Mapping[int, int] = field(default_factory=dict)
    known: frozenset[int] = frozenset()
    given: Mapping[int, str] = field(default_factory=dict)

    def of(self, number: int) -> int:
        return self.moved.get(number, number)

    def stranger(self, number: int) -> str | None:
        """Whose it would be afterwards, when nobody has it now."""
        return None if number in self.known or number in self.moved else self.given.get(number)


NONE = Numbers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    users: Numbers = NONE
    groups: Numbers = NONE

    @property
    def moves(self) -> bool:
        return bool(self.users.moved or self.groups.moved)

    @property
    def renumbering(self) -> Renumbering:
        return Renumbering(uids=self.users.moved, gids=self.groups.moved)


def ownership(old: Accounts, new: Accounts, machine: Accounts) -> tuple[Ownership, list[Decision]]:
    """The numbers, and what there is to tell about them."""
    users, told_users = numbers(old.uids(), new.uids(), machine.uids(), Subject.USER)
    groups, told_groups = numbers(old.gids(), new.gids(), machine.gids(), Subject.GROUP)
    return Ownership(users=users, groups=groups), [*told_users, *told_groups]


def numbers(
    old: Mapping[str, int], new: Mapping[str, int], machine: Mapping[str, int], subject: Subject
) -> tuple[Numbers, list[Decision]]:
    """Blocked is told of what cannot be put right by other numbers: files of two would be one's, or one's
    would be two's."""
    moved: dict[int, int] = {}
    told: list[Decision] = []
    goals: dict[int, str] = {}
    for name, number in machine.items():
        if name in new:
            told += _towards(subject, name, number, new[name], moved, goals)
    told += list(_own(new, machine, moved, goals, subject))
    told += _mixed(moved, machine, subject)
    told += list(_told(old, new, machine, subject))
    given = _given(old, new, machine, moved)
    found = Numbers(
        moved={before: after for before, after in moved.items() if before != after},
        known=frozenset(machine.values()),
        given=given,
    )
    return found, told


def _given(
    old: Mapping[str, int], new: Mapping[str, int], machine: Mapping[str, int], moved: Mapping[int, int]
) -> dict[int, str]:
    """Whose numbers are afterwards. Nobody's those of accounts that the machine has removed: they stay so."""
    found = {n: name for name, n in reversed(tuple(new.items())) if name in machine or name not in old}
    for name, number in machine.items():
        if moved.get(number, number) != number:
            found.setdefault(moved[number], name)
    return found


def _towards(
    subject: Subject, name: str, number: int, goal: int, moved: dict[int, int], goals: dict[int, str]
) -> Iterator[Decision]:
    """To the number that the new stack has for this name."""
    if number != goal and (number in _FIXED or goal in _FIXED):
        yield _blocked(subject, name, f"{number} in the machine and {goal} in the new master: not its like")
        return
    if moved.setdefault(number, goal) != goal:
        yield _blocked(subject, name, f"{number} has two names, which are two numbers in the new master")
        return
    goals.setdefault(goal, name)
    if number != goal:
        yield Decision(
            subject=subject, kind="moved", fate=Fate.RENUMBER, name=name, detail=f"{number} -> {goal}"
        )


def _own(
    new: Mapping[str, int],
    machine: Mapping[str, int],
    moved: dict[int, int],
    goals: Mapping[int, str],
    subject: Subject,
) -> Iterator[Decision]:
    """Those that the new stack does not know keep their number, but where it is another's there."""
    theirs = {number: name for name, number in new.items()}
    used = {*machine.values(), *theirs, *moved.values()}
    free = {some: (n for n in some if n not in used) for some in (MACHINES, PEOPLE)}
    for name, number in machine.items():
        if name in new or number in moved:
            continue  # the latter: a second name of a number that has another
        if number not in theirs or number in _FIXED:
            moved[number] = number
            continue
        goal = next(free[MACHINES if number < PEOPLE.start else PEOPLE], None)
        if goal is None:
            yield _blocked(subject, name, f"{number} is {theirs[number]}'s there, and no number is free")
            continue
        moved[number] = goal
        detail = f"{number} -> {goal}: {number} is {theirs[number]} in the new master"
        yield Decision(subject=subject, kind="own", fate=Fate.RENUMBER, name=name, detail=detail)


def _mixed(moved: Mapping[int, int], machine: Mapping[str, int], subject: Subject) -> Iterator[Decision]:
    """Two numbers of the machine that would become one: who reads the one's files could read the other's."""
    sources: defaultdict[int, set[int]] = defaultdict(set)
    for before, after in moved.items():
        sources[after].add(before)
    called = {number: name for name, number in machine.items()}
    for goal, several in sorted(sources.items()):
        if len(several) > 1:
            who = ", ".join(f"{called[number]} ({number})" for number in sorted(several))
            yield _blocked(subject, called[min(several)], f"{who} would all be {goal}")


def _told(
    old: Mapping[str, int], new: Mapping[str, int], machine: Mapping[str, int], subject: Subject
) -> Iterator[Decision]:
    """What is no matter of numbers."""
    for name in sorted({*old, *new, *machine}):
        if name in machine and name in old and name not in new:
            detail = "the new master has it no more; files may be its own"
            yield Decision(subject=subject, kind="kept", fate=Fate.KEEP, name=name, detail=detail)
        elif name in new and name not in machine and name in old:
            detail = "the machine removed it"
            yield Decision(subject=subject, kind="removed", fate=Fate.HIDE, name=name, detail=detail)
        elif name in new and name not in machine:
            yield Decision(subject=subject, kind="new", fate=Fate.TAKE, name=name, detail=str(new[name]))


def _blocked(subject: Subject, name: str, detail: str) -> Decision:
    return Decision(
        subject=subject, kind="moved", fate=Fate.ASK, name=name, detail=detail, standing=Standing.BLOCKED
    )
