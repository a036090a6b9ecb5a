"""A plan for people: what is the same for many machines is said once."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from skinnybox.fleet import present

_NUMBERED = re.compile(r"(.*?)([0-9]+)([^0-9]*)")
_COUNTED = re.compile(
    r"(?<![\w.:/-])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:/[0-9]{1,2}|(?::[0-9]{1,5}){2})(?![\w./])"
)
"""What a fleet file counts up from machine to machine: addresses with their prefix, ports that lead in."""
_INDENT = " " * 4


def lines(actions: Sequence[present.Record], wide: int) -> Iterator[str]:
    """In the order of the first of each. Why something is blocked is told whole, in as many lines as that
    takes."""
    import textwrap

    groups: dict[tuple[str, str], list[present.Record]] = defaultdict(list)
    for action in actions:
        groups[action["action"], _shape(action)].append(action)
    count = max((len(str(len(same))) for same in groups.values()), default=1)
    verb = max((len(kind) for kind, _ in groups), default=1)
    for (kind, _), same in groups.items():
        head = f"{kind.ljust(verb)}  {str(len(same)).rjust(count)}  "
        names = ranges([action["name"] for action in same])
        yield from textwrap.wrap(head + ", ".join(names), wide, subsequent_indent=" " * len(head))
        detail = _detail(same, " ".join(names))
        yield from textwrap.wrap(detail, wide, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _shape(action: present.Record) -> str:
    """Its detail, but for what is another one for each machine."""
    return _COUNTED.sub("\0", _typed(action["detail"], action["name"], "\1"))


def _typed(detail: str, name: str, instead: str) -> str:
    """With other words where a hint has the machine's name typed."""
    return re.sub(
        rf"(?<=skinnybox )([a-z]+) {re.escape(name)}(?![\w-])", lambda m: f"{m[1]} {instead}", detail
    )


def _detail(same: Sequence[present.Record], names: str) -> str:
    """Of all of them, who are alike but for what counts up, and their names."""
    first = same[0]
    columns = zip(*(_COUNTED.findall(action["detail"]) for action in same), strict=True)
    counted = iter([_counted(values) for values in columns])
    return _typed(_COUNTED.sub(lambda _: next(counted), first["detail"]), first["name"], names)


def _counted(values: Sequence[str]) -> str:
    parts = [_parts(value) for value in values]
    if len(set(parts)) == 1:
        return values[0]
    if parts == [(parts[0][0], parts[0][1] + number) for number in range(len(parts))]:
        return f"{values[0]} to {values[-1]}"
    return " ".join(values)


def _parts(value: str) -> tuple[str, int]:
    """What stays the same, and the number that counts up."""
    address, slash, prefix = value.partition("/")
    if slash:  # or a path that looks like one: nothing is refused here
        return prefix, sum(
            int(part) << shift for part, shift in zip(address.split("."), (24, 16, 8, 0), strict=True)
        )
    host, port, inner = value.split(":")
    return f"{host} {inner}", int(port)


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
