"""Throwing away what a machine writes, as people say it: disk, or memory[:SIZE]."""

from skinnybox.errors import UsageError
from skinnybox.model.machines import ThrowAway, Thrown
from skinnybox.model.ranges import THROWN
from skinnybox.sizes import MIB, format_size, parse_size

_HINT = "disk, memory, or memory:256M"


def parse_throw_away(text: str) -> ThrowAway:
    """Sizes are rounded up to whole MiB. Raises UsageError."""
    kind, colon, size = text.strip().partition(":")
    if kind not in [*Thrown] or (colon and kind != Thrown.MEMORY):
        raise UsageError(f"{text!r:.40} is no place for what is thrown away", hint=_HINT)
    if not colon:
        return ThrowAway(kind=Thrown(kind))
    try:
        return ThrowAway(kind=Thrown.MEMORY, size=-(-THROWN.check(parse_size(size)) // MIB) * MIB)
    except UsageError as error:
        raise UsageError(error.message, hint=_HINT) from error


def check_throw_away(what: ThrowAway | None, memory: int) -> None:
    """UsageError for more memory than half of the machine's: its programs live in the rest."""
    if what is not None and what.size is not None and what.size > memory // 2:
        asked, has = format_size(what.size), format_size(memory)
        raise UsageError(
            f"{asked} for what it writes is more than half of its memory, {has}",
            hint="more --memory, or throw away on the disk",
        )


def empties(before: ThrowAway | None, after: ThrowAway | None) -> bool:
    """Whether what a machine wrote before it was told so is gone at its next start. One that throws away
    already loses nothing by doing it elsewhere, or no more."""
    return before is None and after is not None
