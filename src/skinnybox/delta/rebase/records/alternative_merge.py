"""One group of alternatives of three sides: which choices there are afterwards, and which is in force."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.records import by_key
from skinnybox.delta.rebase.records.alternative_group import AUTO, MANUAL, Choice, Group, slaves_of


class Side(NamedTuple):
    """A group, and what its link says."""

    group: Group | None
    target: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """None is left where nothing can be chosen."""

    group: Group | None
    target: str | None = None
    note: str = ""
    lost: str | None = None
    """What was chosen by hand, and is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """About a file, by its path with a leading slash: which of the packages that the machine changed it is
    of; whether it is there afterwards."""

    package: Callable[[str], Settled | None]
    there: Callable[[str], bool]


def merged(name: str, old: Side, new: Side, machine: Side, facts: Facts) -> Merged:
    choices = by_key.merged(_choices(old), _choices(new), _choices(machine), facts.package)
    choices = {path: choice for path, choice in choices.items() if facts.there(path)}
    mode, wanted, said = _said(old, new, machine)
    lost = wanted if mode == MANUAL and said and wanted not in choices else None
    if not choices:
        return Merged(group=None, lost=lost)
    groups = [side.group for side in (new, machine) if side.group is not None]
    first = groups[0]
    if machine.group is not None and old.group is not None and machine.group.link != old.group.link:
        first = machine.group
    group = replace(first, slaves=slaves_of((first, *groups)), choices=choices)
    if mode == MANUAL and wanted is not None and (wanted in choices or not said):
        return Merged(group=replace(group, mode=MANUAL), target=wanted)
    best = group.best()
    note = f"{name}: {wanted} was chosen by hand and is gone; it is {best} now" if mode == MANUAL else ""
    return Merged(group=replace(group, mode=AUTO), target=best, note=note, lost=lost)


def _choices(side: Side) -> Mapping[str, Choice]:
    return {} if side.group is None else side.group.choices


def _said(old: Side, new: Side, machine: Side) -> tuple[str, str | None, bool]:
    """By whom it counts: the mode, what is chosen, and whether that was one of the choices there."""
    before, after, mine = (_of(side) for side in (old, new, machine))
    side, (mode, wanted) = (machine, mine) if mine[0] and mine != before else (new, after)
    if not mode:
        side, (mode, wanted) = machine, mine
    return mode, wanted, wanted in _choices(side)


def _of(side: Side) -> tuple[str, str | None]:
    """Who altered the link by hand meant it: update-alternatives takes it so as well."""
    if side.group is None:
        return "", None
    if side.group.mode == AUTO and side.target in (None, side.group.best()):
        return AUTO, None
    return MANUAL, side.target
