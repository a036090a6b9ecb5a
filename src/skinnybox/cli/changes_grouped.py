"""Changes for people: packages, accounts and services as what they are, all other paths by what they are
about, and what says nothing only counted."""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from skinnybox.cli import render, terminal
from skinnybox.fleet.present_changes import verb
from skinnybox.model import Change, ChangeKind, Fact, Group, Look
from skinnybox.printable import printable, printable_path
from skinnybox.sizes import format_size

_TITLES = {Group.LOGS: "logs, caches and temporary files"}
_FEW = 6
"""Alike ones in one folder that are told each; more of them are one line."""
_NEVER_TOGETHER = (Group.ACCOUNTS, Group.SERVICES, Group.PACKAGES, Group.OTHER)
"""One among many would be what somebody hides there: who may come in, what starts, what is run."""
_VERSIONS = 10
"""So many packages are told with their versions, more of them by their names."""
_WHATS = ("package", "user", "group", "unit", "alternative", "diversion")
_CHANGES = ("added", "removed", "upgraded", "downgraded", "moved", "changed")
_WIDE = 100
_LINK = {"l": "link", "p": "pipe", "s": "socket", "c": "device", "b": "device"}


def is_hidden(change: Change) -> bool:
    """Whether only its number is told: another line tells of it, or it says nothing."""
    return change.folded or bool(change.noise) or change.kind is ChangeKind.SAME


@dataclass(slots=True)
class _Counts:
    """What is not told path by path."""

    folded: Counter[Group] = field(default_factory=Counter)
    size: Counter[Group] = field(default_factory=Counter)
    noise: int = 0
    same: int = 0
    same_size: int = 0

    def add(self, change: Change) -> None:
        if change.kind is ChangeKind.SAME:
            self.same += 1
            self.same_size += change.size
        elif change.noise:
            self.noise += 1
        else:
            self.folded[change.group] += 1
            self.size[change.group] += change.size if change.kind is not ChangeKind.DELETED else 0


@dataclass(slots=True)
class Gathered:
    """All that is to be shown: with `whole` each path, and why it says nothing."""

    facts: tuple[Fact, ...]
    whole: bool
    told: defaultdict[Group, list[Change]] = field(default_factory=lambda: defaultdict(list))
    counts: _Counts = field(default_factory=_Counts)


def gathered(look: Look, *, whole: bool) -> Gathered:
    found = Gathered(facts=look.facts, whole=whole)
    for change in look.changes:
        if whole or not is_hidden(change):
            found.told[change.group].append(change)
        else:
            found.counts.add(change)
    return found


def lines(found: Gathered) -> Iterator[str]:
    """Fitted to the terminal, which has to be there: progress takes the place of it while it is shown."""
    first = True
    for group in Group:
        facts = [fact for fact in found.facts if fact.group is group]
        if not facts and not found.told[group] and not found.counts.folded[group]:
            continue
        yield from () if first else ("",)
        first = False
        yield _title(group, found.counts)
        yield from _facts(facts)
        yield from _paths(found.told[group], together=not found.whole and group not in _NEVER_TOGETHER)
    yield from _rest(found.counts, first)


def _title(group: Group, counts: _Counts) -> str:
    title, count = _TITLES.get(group, str(group)), counts.folded[group]
    if not count:
        return title
    size = f", {format_size(counts.size[group])}" if counts.size[group] else ""
    return f"{title} ({count} {'path' if count == 1 else 'paths'} of these{size})"


def _rest(counts: _Counts, first: bool) -> Iterator[str]:
    said = []
    if counts.noise:
        said.append(f"{counts.noise} of a plain boot: --all shows them")
    if counts.same:
        of = f"{counts.same} as the master has {'it' if counts.same == 1 else 'them'}"
        said.append(f"{of}, {format_size(counts.same_size)}: `skinnybox slim` drops such copies")
    yield from ([] if first or not said else [""]) + said


def _facts(facts: Sequence[Fact]) -> Iterator[str]:
    """New packages side by side, as there may be hundreds; what was and is, each in its line."""
    wide = terminal.width() or _WIDE
    for (what, change), some in _by_kind(facts).items():
        done = verb(what, change)
        head = f"  {done}  "
        if what == "package" and change in ("added", "removed"):
            text = ", ".join(_named(fact, short=len(some) > _VERSIONS) for fact in some)
            head = f"  {len(some)} {done}  "
            yield from textwrap.wrap(text, wide, initial_indent=head, subsequent_indent=" " * len(head),
                                     break_long_words=False, break_on_hyphens=False)  # fmt: skip
            continue
        for fact in some:
            yield terminal.cut(f"{head}{_told(fact)}", wide) if terminal.width() else f"{head}{_told(fact)}"


def _by_kind(facts: Sequence[Fact]) -> dict[tuple[str, str], list[Fact]]:
    """In the order in which they are told, by name within each."""
    found: defaultdict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in sorted(facts, key=lambda fact: (_order(_WHATS, fact.what), _order(_CHANGES, fact.change))):
        found[fact.what, fact.change].append(fact)
    return found


def _order(known: Sequence[str], word: str) -> int:
    return known.index(word) if word in known else len(known)


def _named(fact: Fact, *, short: bool) -> str:
    return printable(fact.name if short else f"{fact.name} {fact.after or fact.before}")


def _told(fact: Fact) -> str:
    name = printable(fact.name)
    if fact.before is not None and fact.after is not None:
        return f"{name} {printable(fact.before)} -> {printable(fact.after)}"
    known = printable(fact.after or fact.before or "")
    return f"{name} ({known})" if known else name


def _paths(changes: Sequence[Change], *, together: bool) -> Iterator[str]:
    rows = [row for some in _alike(changes, together) for row in some]
    yield from render.lines(rows)


def _alike(changes: Sequence[Change], together: bool) -> Iterator[Iterable[list[str]]]:
    """Rows: of those of one folder that are alike, as many as `_FEW` each, else one for all of them."""
    for key, found in groupby(changes, key=_likeness):
        some = list(found)
        if not together or len(some) <= _FEW or some[0].type == "d" or some[0].detail:
            yield map(_row, some)
            continue
        size = sum(change.size for change in some)
        folder = printable_path(b"/" + key[0])
        what = "links" if some[0].type == "l" else "files"
        yield [["", str(some[0].kind), format_size(size), f"{folder}/", f"{len(some)} {what} in it"]]


def _likeness(change: Change) -> tuple[bytes, ChangeKind, str, str]:
    return change.path.rpartition(b"/")[0], change.kind, change.type, change.detail


def _row(change: Change) -> list[str]:
    path = printable_path(b"/" + change.path) + ("/" if change.type == "d" and change.path else "")
    size = format_size(change.size) if change.type == "-" else ""
    words = (
        _LINK.get(change.type, ""),
        printable(change.detail),
        change.package and f"of {printable(change.package)}",
        change.noise and f"plain boot: {change.noise}",
    )
    return ["", str(change.kind), size, path, ", ".join(filter(None, words))]
