"""Masters of one name follow one another: an account that both have keeps its number.

A machine's own files belong to numbers, and the names are the master's. Were ssh's group 107 in one version
and 108 in the next, then a machine that moves there has a setgid program of somebody else's, and secrets that
he may read. Two packages more in a recipe are enough for that (adduser counts upwards, systemd-sysusers and
useradd downwards).

Numbers are put right when all packages and scripts are through, not given to the tree before: an account that
is there already makes `useradd` of a recipe's script fail, keeps adduser from making its home, and a package
from putting it into groups. So it is the same for builds and imports, and for accounts of whatever origin.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import Conflict, Corrupt, Unsupported, UsageError
from skinnybox.masters import catalogue
from skinnybox.masters.accounts import Accounts, accounts
from skinnybox.masters.numbers import MACHINES, MASTERS, PEOPLE
from skinnybox.masters.renumber import Renumbering, renumber
from skinnybox.masters.system.kept import system_of
from skinnybox.model import Master
from skinnybox.operation import Operation

# Root, and who is nobody: programs know these by number.
_FIXED = (0, 65534, 65535)
_FIRST = 100
"""Below it numbers are the distribution's, the same in every system of it."""
_MOST_TOLD = 8


Wanted = dict[int, tuple[int, str]]
"""A number, what becomes of it, and for whose sake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """Whom a master follows: `reference` is for messages."""

    reference: str
    accounts: Accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a tree's accounts are to its predecessor's. `moved` and `displaced` are texts, one an account:
    those that get the predecessor's number back, and those that are new and had a number of another there."""

    numbers: Renumbering
    moved: tuple[str, ...]
    displaced: tuple[str, ...]
    vanished: tuple[str, ...]


def predecessor(
    store: Path, name: str, version: str, *, after: str | None = None, unrelated: bool = False
) -> Predecessor | None:
    """Whom NAME:VERSION is to follow: `after`, else the newest of its name. None where there is none.

    Itself, when it is sealed already: so the same import twice gives the same master. Raises UsageError for
    both choices, NotFound for an `after` that is not there, and what `system_of` raises."""
    if after and unrelated:
        raise UsageError("a master is unrelated to others or follows one", hint="say one of both")
    if unrelated:
        return None
    master = catalogue.find(store, after) if after else _newest(store, name, version)
    if master is None:
        return None
    try:
        return Predecessor(reference=master.reference, accounts=system_of(store, master).accounts)
    except (Corrupt, Unsupported) as error:
        error.hint = f"{master.reference} is what it follows: --after another, or --unrelated, does without"
        raise


def _newest(store: Path, name: str, version: str) -> Master | None:
    named = [master for master in catalogue.masters(store) if master.name == name]
    same = [master for master in named if master.version == version]
    return next(iter(same or named[-1:]), None)


def follow(tree: Path, before: Predecessor | None, operation: Operation) -> None:
    """Give a private tree's accounts the numbers that they have in its predecessor, and say what was done.

    An account that is new there, and has a number of another one, gets a free one of a master's. Idempotent.
    Raises Conflict, naming accounts and numbers, for what cannot be."""
    if before is None:
        return
    found = difference(accounts(tree), before)
    if found.numbers:
        count = renumber(tree, found.numbers, operation)
        told = _listed([*found.moved, *found.displaced])
        operation.note(f"as in {before.reference}: {told}; {count} files got other owners")
    _tell_vanished(found, before, operation)
    left = difference(accounts(tree), before)
    if left.numbers:
        raise Conflict(f"accounts have other numbers than in {before.reference}: {_listed(left.moved)}")


def settle(tree: Path, before: Predecessor | None, operation: Operation) -> None:
    """Give accounts that a machine made for itself, and has numbers of a machine for, those of a master: in a
    machine of this one the next that is made has the same number otherwise. Idempotent; accounts of the
    predecessor stay. Raises Conflict as renumber does, and where no number is free."""
    mine = accounts(tree)
    known = before.accounts if before else Accounts()
    used = {number for each in (mine, known) for number in (*each.uids().values(), *each.gids().values())}
    theirs = {*known.uids().values(), *known.gids().values()}
    uids, gids = (_machines(found, theirs) for found in (mine.uids(), mine.gids()))
    free = (number for number in MASTERS if number not in used)
    found = {old: next(free, None) for old in sorted({*uids, *gids})}
    if None in found.values():
        raise Conflict("no number of a master is free for all accounts that the machine made for itself")
    moved = {old: new for old, new in found.items() if new is not None}
    if moved:
        new = Renumbering(
            uids={old: moved[old] for old in sorted(uids)}, gids={old: moved[old] for old in sorted(gids)}
        )
        count = renumber(tree, new, operation)
        told = [f"{uids.get(old) or gids[old]} {old} -> {new}" for old, new in moved.items()]
        operation.note(f"with a master's number now: {_listed(told)}; {count} files got other owners")


def _machines(found: Mapping[str, int], theirs: set[int]) -> dict[int, str]:
    return {number: name for name, number in found.items() if number in MACHINES and number not in theirs}


def refuse_moved(tree: Path, before: Predecessor | None, operation: Operation) -> None:
    """For a tree that is sealed as it is: Conflict when `follow` would change it."""
    if before is None:
        return
    found = difference(accounts(tree), before)
    if found.numbers:
        raise Conflict(
            f"accounts have other numbers than in {before.reference}: "
            f"{_listed([*found.moved, *found.displaced])}",
            hint="without --as-is they are given those; --unrelated seals it with its own, "
            "and machines cannot move between the two",
        )
    _tell_vanished(found, before, operation)


def difference(mine: Accounts, before: Predecessor) -> Difference:
    """Raises Conflict for what cannot be made right by other numbers."""
    uids, moved_users, displaced_users = _numbers(mine.uids(), before.accounts.uids(), before, "user")
    gids, moved_groups, displaced_groups = _numbers(mine.gids(), before.accounts.gids(), before, "group")
    return Difference(
        numbers=Renumbering(uids=uids, gids=gids),
        moved=(*moved_users, *moved_groups),
        displaced=(*displaced_users, *displaced_groups),
        vanished=(
            *_missing("user", mine.uids(), before.accounts.uids()),
            *_missing("group", mine.gids(), before.accounts.gids()),
        ),
    )


def _numbers(
    mine: Mapping[str, int], before: Mapping[str, int], who: Predecessor, kind: str
) -> tuple[dict[int, int], list[str], list[str]]:
    wanted = _wanted(mine, before, who, kind)
    displaced = _displaced(mine, before, wanted, kind)
    numbers = {old: new for old, (new, _) in (wanted | displaced).items() if old != new}
    return numbers, _told(wanted, kind), _told(displaced, kind)


def _wanted(mine: Mapping[str, int], before: Mapping[str, int], who: Predecessor, kind: str) -> Wanted:
    """Of the accounts that both have."""
    found: Wanted = {}
    taken: dict[int, tuple[int, str]] = {}
    for name, number in mine.items():
        if name not in before:
            continue
        goal = before[name]
        if number != goal and (number in _FIXED or goal in _FIXED):
            raise _impossible(who, f"{kind} {name} is {number} here, and {goal} there")
        known = found.setdefault(number, (goal, name))
        if known[0] != goal:
            raise _impossible(who, f"{kind} {known[1]} and {name} are both {number} here, and two there")
        other = taken.setdefault(goal, (number, name))
        if other[0] != number:
            raise _impossible(who, f"{kind} {other[1]} and {name} are both {goal} there, and two here")
    return found


def _displaced(mine: Mapping[str, int], before: Mapping[str, int], wanted: Wanted, kind: str) -> Wanted:
    """Of the new ones that have a number of another: of one who stays, or of one who is gone, whose files may
    still lie in machines."""
    goals = {goal for goal, _ in wanted.values()}
    others = goals | {number for number in before.values() if number >= _FIRST and number not in _FIXED}
    used = {*mine.values(), *before.values()}
    # One after the other: a stranger's file may have some ten thousand of them.
    free_numbers = {some: iter([n for n in some if n not in used]) for some in (MASTERS, PEOPLE)}
    found: Wanted = {}
    for name, number in mine.items():
        if number in wanted or number in found or number not in others:
            continue
        free = next(free_numbers[MASTERS if number < PEOPLE.start else PEOPLE], None)
        if free is None:
            raise Conflict(f"no number is free for the {kind} {name}", hint="remove accounts from the tree")
        found[number] = (free, name)
    return found


def _told(wanted: Wanted, kind: str) -> list[str]:
    return [f"{kind} {name} {old} -> {new}" for old, (new, name) in wanted.items() if old != new]


def _missing(kind: str, mine: Mapping[str, int], before: Mapping[str, int]) -> list[str]:
    return [f"{kind} {name} ({number})" for name, number in before.items() if name not in mine]


def _impossible(who: Predecessor, what: str) -> Conflict:
    return Conflict(
        f"it cannot follow {who.reference}: {what}",
        hint="--unrelated makes it without, and no machine can move between them; --after follows another",
    )


def _tell_vanished(found: Difference, before: Predecessor, operation: Operation) -> None:
    if found.vanished:
        operation.note(f"accounts of {before.reference} that are gone: {_listed(found.vanished)}")


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - _MOST_TOLD} more" if len(every) > _MOST_TOLD else ""
    return ", ".join(every[:_MOST_TOLD]) + more
