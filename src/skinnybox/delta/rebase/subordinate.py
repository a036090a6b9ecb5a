"""/etc/subuid and /etc/subgid: ranges of numbers that users may give to their containers.

Nobody can renumber what lies in a container; so ranges of two that overlap are refused.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject

_LINE = re.compile(rb"([^:\n]{1,256}):(\d{1,10}):(\d{1,10})")
_MOST = 20_000
_END = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    name: str
    start: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.count


def ranges(text: bytes) -> list[Range]:
    """What such a file says; a line that is none is passed over, as shadow's programs do."""
    found = []
    for line in text.split(b"\n", _MOST)[:_MOST]:
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        each = Range(
            name=match[1].decode("utf-8", "surrogateescape"), start=int(match[2]), count=int(match[3])
        )
        if each.count and each.end <= _END:
            found.append(each)
    return found


def merged(old: Iterable[Range], new: Iterable[Range], machine: Iterable[Range]) -> list[Range]:
    """The machine's lines, and what the new master has that the old one had not; by name the machine's word
    counts, since files in containers have its numbers."""
    before, mine = set(old), list(machine)
    known = {each.name for each in mine}
    more = [each for each in new if each not in before and each.name not in known]
    return [*mine, *more]


def decisions(
    file: str, old: Iterable[Range], new: Iterable[Range], machine: Iterable[Range]
) -> Iterator[Decision]:
    mine = list(machine)
    whole = sorted(merged(old, new, mine), key=lambda each: (each.start, each.end, each.name))
    had = {frozenset((a.name, b.name)) for a, b in _overlaps(sorted(mine, key=lambda each: each.start))}
    for a, b in _overlaps(whole):
        if frozenset((a.name, b.name)) in had:
            continue  # it is so today
        yield Decision(
            subject=Subject.SUBORDINATE,
            kind="overlap",
            fate=Fate.ASK,
            name=b.name,
            detail=f"{file}: {b.start}:{b.count} overlaps {a.start}:{a.count} of {a.name}",
            standing=Standing.BLOCKED,
        )


def _overlaps(found: list[Range]) -> Iterator[tuple[Range, Range]]:
    """Of ranges by their start; each with the one before that reaches furthest."""
    furthest: Range | None = None
    for each in found:
        if furthest is not None and each.start < furthest.end and each.name != furthest.name:
            yield furthest, each
        if furthest is None or each.end > furthest.end:
            furthest = each
