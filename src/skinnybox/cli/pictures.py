"""What people would rather look at than read. Only for a terminal: what programs read has numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skinnybox.cli import terminal
from skinnybox.sizes import format_size

FILL, LEAST = 8, 4
"""Characters of what is filled, as a rule, and with which it still says something."""
AROUND = 3
"""The two ends, and the blank behind them."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WIDEST = 72


def fill(used: int, size: int, wide: int = FILL) -> str:
    """How much of a thing is used. Something is never shown as nothing, nor nearly full as full."""
    part = min(max(used / size, 0.0), 1.0) if size > 0 else 0.0
    steps = 8 if terminal.knows_unicode() else 1
    cells = wide * steps
    done = cells if part == 1 else min(max(round(part * cells), int(part > 0)), cells - 1)
    if steps == 1:
        return f"[{'#' * done}{'-' * (wide - done)}]"
    whole, rest = divmod(done, steps)
    bar = _EIGHTHS[-1] * whole + (_EIGHTHS[rest] if rest else "")
    return f"▕{bar}{' ' * (wide - len(bar))}▏"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One part of a bar: what it is called, how many bytes, and how it is drawn, also in ASCII."""

    what: str
    size: int
    drawn: str
    ascii: str


def shares(account: Mapping[str, Any]) -> list[Share]:
    """Of a disk, by the form of `capacity`. No byte is in two of them: what overlays were promised and have
    not written is promised, whether the disk has set it aside already or not; what is free is nobody's."""
    written, allocated, owed, free = (account[key] for key in ("written", "allocated", "owed", "free"))
    ours = account["masters"] + account["layers"] + allocated + account["snapshots"]
    return [
        Share(what="masters", size=account["masters"], drawn="█", ascii="M"),
        Share(what="layers", size=account["layers"], drawn="▞", ascii="L"),
        Share(what="written", size=written, drawn="▓", ascii="W"),
        Share(what="snapshots", size=account["snapshots"], drawn="▚", ascii="S"),
        Share(what="promised", size=max(0, allocated - written) + min(owed, free), drawn="▒", ascii="P"),
        Share(what="others", size=max(0, account["disk"] - free - ours), drawn="╱", ascii="o"),
        Share(what="free", size=max(0, free - owed), drawn="░", ascii="."),
    ]


def bar(parts: Sequence[Share], wide: int) -> list[str]:
    """One line with all of them, each at least a character if it is anything, and what they are below."""
    known = terminal.knows_unicode()
    there = [part for part in parts if part.size > 0]
    drawn = [part.drawn if known else part.ascii for part in there]
    room = min(wide, _WIDEST) - 2
    if not there or room < len(there):
        return []
    counts = _counts([part.size for part in there], room)
    line = "".join(sign * count for sign, count in zip(drawn, counts, strict=True))
    left, right = ("▕", "▏") if known else ("[", "]")
    said = [f"{sign} {part.what} {format_size(part.size)}" for sign, part in zip(drawn, there, strict=True)]
    return [f"{left}{line}{right}", *_lines(said, wide)]


def _counts(sizes: Sequence[int], room: int) -> list[int]:
    """Of `room` characters, one for each, and of the others what its size is of all."""
    total, left = sum(sizes), room - len(sizes)
    counts = [1 + size * left // total for size in sizes]
    counts[sizes.index(max(sizes))] += room - sum(counts)
    return counts


def _lines(words: Sequence[str], wide: int) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}   {word}" if lines[-1] else word
        if len(longer) <= wide:
            lines[-1] = longer
        else:
            lines.append(word)
    return [terminal.cut(line, wide) for line in lines if line]
