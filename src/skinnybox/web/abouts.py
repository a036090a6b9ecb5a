"""What a machine's changes are about, as headings: packages, accounts and services by their databases, and
how many paths each group has."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from skinnybox.fleet.present_changes import Sums, verb
from skinnybox.model import Change, Fact, Group
from skinnybox.printable import printable

_TITLES = {Group.LOGS: "logs and caches"}
_MOST = 60
"""Names in one line of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """One group: `told` are lines of what its databases say."""

    title: str
    changes: int
    size: int
    told: tuple[str, ...] = ()


def counted(changes: Iterable[Change], sums: Sums) -> Iterator[Change]:
    """As they come."""
    for change in changes:
        sums.add(change)
        yield change


def abouts(facts: Sequence[Fact], sums: Sums) -> Iterator[About]:
    """Of the groups that have anything."""
    for group, of in sums.groups.items():
        told = tuple(_told([fact for fact in facts if fact.group is group]))
        if of.changes or told:
            title = _TITLES.get(group, str(group))
            yield About(title=title, changes=of.changes, size=of.size, told=told)


def _told(facts: Sequence[Fact]) -> Iterator[str]:
    kinds = dict.fromkeys((fact.what, fact.change) for fact in facts)
    for what, change in kinds:
        names = [_name(fact) for fact in facts if (fact.what, fact.change) == (what, change)]
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        yield f"{len(names)} {verb(what, change)}: {', '.join(names[:_MOST])}{more}"


def _name(fact: Fact) -> str:
    both = fact.before is not None and fact.after is not None
    return printable(f"{fact.name} {fact.before} -> {fact.after}" if both else fact.name)
