"""A plan for people: what is the same for many machines is said once."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from skinnybox.fleet import present

_NUMBERED = re.compile(r"(.*?)([0-9]+)([^0-9]*)")
_INDENT = " " * 4


def lines(actions: Sequence[present.Record], wide: int) -> Iterator[str]:
    """In the order of the first of each. Why something is blocked is told whole, in as many lines as that
    takes."""
    import textwrap

    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for action in actions:
        groups[action["action"], action["detail"]].append(action["name"])
    count = max((len(str(len(names))) for names in groups.values()), default=1)
    verb = max((len(kind) for kind, _ in groups), default=1)
    for (kind, detail), names in groups.items():
        head = f"{kind.ljust(verb)}  {str(len(names)).rjust(count)}  "
        yield from textwrap.wrap(head + ", ".join(ranges(names)), wide, subsequent_indent=" " * len(head))
        yield from textwrap.wrap(detail, wide, initial_indent=_INDENT, subsequent_indent=_INDENT)


def ranges(names: Sequence[str]) -> list[str]:
    """Names with numbers one after the other become the pattern that means them: web-{01..40}."""
    found: list[str] = []
    run: list[str] = []
    for name in names:
        if run and not _follows(run[-1], name):
            found += _pattern(run)
            run = []
        run.append(name)
    return found + _pattern(run)


def _follows(before: str, name: str) -> bool:
    one, next_ = _NUMBERED.fullmatch(before), _NUMBERED.fullmatch(name)
    if one is None or next_ is None or (one[1], one[3]) != (next_[1], next_[3]):
        return False
    return next_[2] == str(int(one[2]) + 1).zfill(len(one[2]))


def _pattern(run: Sequence[str]) -> list[str]:
    if len(run) < 3:
        return list(run)
    first, last = _NUMBERED.fullmatch(run[0]), _NUMBERED.fullmatch(run[-1])
    assert first and last
    return [f"{first[1]}{{{first[2]}..{last[2]}}}{first[3]}"]
