"""A template cut into runs to be written in one go: constant bytes, and blanks that each copy fills in."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

Blank: TypeAlias = tuple[int, int, str]
"""Offset, length and name."""
Run: TypeAlias = tuple[int, tuple[bytes | str, ...]]
"""Offset, and the constant bytes and names of blanks that follow one another from there."""


def cut(
    pieces: Sequence[tuple[int, bytes]], blanks: Sequence[Blank], last: Collection[str]
) -> tuple[Run, ...]:
    """The runs of these pieces, ascending. A blank lies within a piece or beside all of them; one of those
    that are `last` may be filled with less than its length, so its run ends with it."""
    runs: list[tuple[int, list[bytes | str]]] = []
    expected = -1
    for offset, length, part in sorted(_parts(pieces, blanks), key=lambda part: part[0]):
        if offset != expected:
            runs.append((offset, []))
        runs[-1][1].append(part)
        expected = -1 if part in last else offset + length
    return tuple((offset, tuple(parts)) for offset, parts in runs)


def _parts(
    pieces: Sequence[tuple[int, bytes]], blanks: Sequence[Blank]
) -> Iterator[tuple[int, int, bytes | str]]:
    yield from blanks
    for start, data in pieces:
        at, end = start, start + len(data)
        for offset, length, _ in sorted(blank for blank in blanks if start <= blank[0] < end):
            if offset > at:
                yield at, offset - at, data[at - start : offset - start]
            at = offset + length
        if end > at:
            yield at, end - at, data[at - start :]


def filled(parts: Sequence[bytes | str], own: Mapping[str, bytes]) -> bytes:
    """To put bytes together costs less than to write each by itself. What is no blank stands for itself:
    asked in this way, no line of Python is run for each."""
    return b"".join(map(own.get, parts, parts))  # type: ignore[arg-type]
