"""Three-way merge of text by lines (diff3), in bounded time.

Own code, since what there is for Python is under the GPL, or has no bound: of files that a guest's root
wrote, difflib takes as long as he likes. Changes that touch each other are in conflict, as with diff3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LARGEST = 512 << 10
"""Bytes of a file that is merged."""
MOST_LINES = 20_000
_MOST_EDITS = 1_000

Lines = Sequence[bytes]


class Budget:
    """Steps that all comparisons of one machine may take together. Four million take some seconds."""

    def __init__(self, steps: int = 4_000_000) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise _TooMuch


class _TooMuch(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines `start` to `end` of the base become those."""

    start: int
    end: int
    lines: Lines


def is_text(content: bytes) -> bool:
    if len(content) > LARGEST or b"\0" in content or content.count(b"\n") >= MOST_LINES:
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def merged(base: bytes, ours: bytes, theirs: bytes, budget: Budget) -> bytes | None:
    """All changes of both; None where they touch, where one is no text, and where it would take too long."""
    if not all(map(is_text, (base, ours, theirs))):
        return None
    lines = _lines(base)
    try:
        mine, others = hunks(lines, _lines(ours), budget), hunks(lines, _lines(theirs), budget)
    except _TooMuch:
        return None
    out: list[bytes] = []
    at = 0
    for start, end, group_mine, group_others in _groups(mine, others):
        text = _region(lines, start, end, group_mine)
        if group_mine and group_others and text != _region(lines, start, end, group_others):
            return None
        out += lines[at:start]
        out += text if group_mine else _region(lines, start, end, group_others)
        at = end
    return _joined([*out, *lines[at:]])


def _lines(content: bytes) -> list[bytes]:
    *whole, rest = content.split(b"\n")
    return [*(line + b"\n" for line in whole), *([rest] if rest else [])]


def _joined(lines: Lines) -> bytes | None:
    """None where a line that had no end would get another behind it: nobody wrote that line."""
    return b"".join(lines) if all(line.endswith(b"\n") for line in lines[:-1]) else None


def _groups(mine: list[Hunk], others: list[Hunk]) -> Iterator[tuple[int, int, list[Hunk], list[Hunk]]]:
    """Hunks that touch, together, with the stretch of the base that they cover."""
    left = [*((hunk, 0) for hunk in mine), *((hunk, 1) for hunk in others)]
    left.sort(key=lambda item: (item[0].start, item[0].end))
    while left:
        hunk, side = left.pop(0)
        group: tuple[list[Hunk], list[Hunk]] = ([], [])
        group[side].append(hunk)
        start, end = hunk.start, hunk.end
        while left and left[0][0].start <= end:
            hunk, side = left.pop(0)
            group[side].append(hunk)
            end = max(end, hunk.end)
        yield start, end, *group


def _region(base: Lines, start: int, end: int, group: list[Hunk]) -> list[bytes]:
    out: list[bytes] = []
    at = start
    for hunk in group:
        out += [*base[at : hunk.start], *hunk.lines]
        at = hunk.end
    return [*out, *base[at:end]]


def hunks(base: Lines, other: Lines, budget: Budget) -> list[Hunk]:
    """What makes `other` of `base`: a shortest such list of lines taken away and put in (Myers 1986)."""
    head = _common(base, other)
    tail = _common(base[head:][::-1], other[head:][::-1])
    a, b = base[head : len(base) - tail], other[head : len(other) - tail]
    budget.spend(len(base) + len(other))
    found: list[Hunk] = []
    x = y = 0
    for start_a, start_b, length in [*_matches(a, b, budget), (len(a), len(b), 0)]:
        if start_a > x or start_b > y:
            found.append(Hunk(head + x, head + start_a, b[y:start_b]))
        x, y = start_a + length, start_b + length
    return found


def _common(a: Lines, b: Lines) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _matches(a: Lines, b: Lines, budget: Budget) -> list[tuple[int, int, int]]:
    """Stretches that are the same in both, ascending."""
    reached = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(min(len(a) + len(b), _MOST_EDITS) + 1):
        trace.append(dict(reached))
        budget.spend(2 * edits + 1)
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
            x = reached[k + 1] if down else reached[k - 1] + 1
            begin = x
            while x < len(a) and x - k < len(b) and a[x] == b[x - k]:
                x += 1
            budget.spend(x - begin)
            reached[k] = x
            if x >= len(a) and x - k >= len(b):
                return _back(trace, len(a), len(b))
    raise _TooMuch


def _back(trace: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int, int]]:
    found = []
    for edits in range(len(trace) - 1, -1, -1):
        reached, k = trace[edits], x - y
        down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
        before = k + 1 if down else k - 1
        from_x = reached[before]
        from_y = from_x - before
        begin = (from_x if down else from_x + 1) if edits else 0
        if x > begin:
            found.append((begin, begin - k, x - begin))
        x, y = from_x, from_y
    return found[::-1]
