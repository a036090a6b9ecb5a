"""Two versions of a file as people compare them: the lines that differ, with some around them."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from skinnybox.model import Content
from skinnybox.printable import printable

MOST_LINES = 4000
"""Lines of both together that are compared: what compares them takes the square of it at the worst."""
_LONGEST_LINE = 500
_AROUND = 3
_LOOKED_AT = 8192
_SIGNS = {"added": "+", "removed": "-", "same": " "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`tone`: added, removed, same, or gap for lines that are left out. Numbers are of the line before and
    after."""

    tone: str
    text: str
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """`why`: what there is to say instead of lines, or of them."""

    lines: tuple[Line, ...] = ()
    why: str | None = None

    @property
    def added(self) -> int:
        return sum(line.tone == "added" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.tone == "removed" for line in self.lines)


def diff_of(before: Content | None, after: Content | None) -> Diff:
    there = [each for each in (before, after) if each is not None]
    if any(each.type not in "-l" for each in there):
        return Diff(why="One of them is no file.")
    if any(is_binary(each.data) for each in there):
        return Diff(why="Its content is no text.")
    if any(not each.whole for each in there):
        return Diff(why="It is larger than what is compared here.")
    first, second = _lines(before), _lines(after)
    if len(first) + len(second) > MOST_LINES:
        return Diff(why=f"Both together have more than {MOST_LINES:,} lines.")
    return Diff(lines=tuple(_compared(first, second)))


def is_binary(data: bytes) -> bool:
    """What a terminal would make a mess of, or is no UTF-8."""
    if b"\0" in data[:_LOOKED_AT]:
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _lines(content: Content | None) -> list[str]:
    """Without what does more in a page than to be read."""
    if content is None:
        return []
    return [printable(line.replace("\t", "    "))[:_LONGEST_LINE] for line in _split(content.data.decode())]


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _compared(first: list[str], second: list[str]) -> list[Line]:
    found: list[Line] = []
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=True)
    for group in matcher.get_grouped_opcodes(_AROUND):
        if found or group[0][1] > 0 or group[0][3] > 0:
            found.append(Line(tone="gap", text="…"))
        for what, one, to, other, until in group:
            if what == "equal":
                pairs = zip(range(one, to), range(other, until), strict=True)
                found += [Line(tone="same", text=first[a], before=a + 1, after=b + 1) for a, b in pairs]
                continue
            found += [Line(tone="removed", text=first[at], before=at + 1) for at in range(one, to)]
            found += [Line(tone="added", text=second[at], after=at + 1) for at in range(other, until)]
    return found


def unified(diff: Diff) -> Iterator[str]:
    """As `diff -u` has it, to be read: tabs are blanks, and long lines are cut."""
    if not diff.lines:
        yield "  They differ in the ends of lines alone."
    for is_gap, found in groupby(diff.lines, key=lambda line: line.tone == "gap"):
        hunk = list(found)
        if not is_gap:
            yield f"@@ -{_range(hunk, 'before')} +{_range(hunk, 'after')} @@"
            yield from (_SIGNS[line.tone] + line.text for line in hunk)


def _range(hunk: list[Line], side: str) -> str:
    numbers = [number for line in hunk if (number := getattr(line, side)) is not None]
    return f"{numbers[0]},{len(numbers)}" if numbers else "0,0"
