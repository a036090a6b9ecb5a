"""Values as pages say them: sizes, times, text of strangers."""

from datetime import UTC, datetime

from skinnybox.printable import printable, printable_path
from skinnybox.sizes import format_size

_DAY = 24 * 3600


def size(value: int | None) -> str:
    """`1.5 GiB`: with room before the unit, and the unit whole, for it is read and not typed."""
    if value is None:
        return "–"
    text = format_size(value)
    return f"{text[:-1].removesuffix('.0')} {text[-1]}iB" if text[-1] in "KMGT" else f"{text} B"


def typed_size(value: int) -> str:
    """As it is typed into a form, without loss: 512M, 1G, 1500K."""
    for unit, shift in (("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        if value and value % (1 << shift) == 0:
            return f"{value >> shift}{unit}"
    return str(value)


def percent(part: float | None, whole: float | None) -> int:
    """0 to 100, for widths and words."""
    if not part or not whole:
        return 0
    return max(0, min(100, round(100 * part / whole)))


def parsed(when: datetime | str) -> datetime:
    return datetime.fromisoformat(when) if isinstance(when, str) else when


def stamp(when: datetime | str | None) -> str:
    """`2026-11-26 21:05 UTC`."""
    return f"{parsed(when).astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else "–"


def iso(when: datetime | str) -> str:
    """For programs: the attribute `datetime` of an element."""
    return parsed(when).astimezone(UTC).isoformat(timespec="seconds")


def seconds_since(when: datetime | str) -> float:
    return (datetime.now(UTC) - parsed(when)).total_seconds()


def lasting(seconds: float | None) -> str:
    """`42 s`, `3 min`, `5 h 10 min`, `12 days`: the two figures that matter."""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 2 * _DAY:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // _DAY} days"


def ago(when: datetime | str | None) -> str:
    if when is None:
        return "–"
    seconds = seconds_since(when)
    return "just now" if seconds < 10 else f"{lasting(seconds)} ago"


def since(when: datetime | str | None) -> str:
    return "–" if when is None else lasting(seconds_since(when))


def shown(value: object) -> str:
    """What a guest or a stranger said, without what changes the direction or the line of the text."""
    return printable(str(value))


def plural(count: int, one: str, many: str = "") -> str:
    """`1 machine`, `2 machines`, `2,000 machines`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


FILTERS = {
    "as_path": printable_path,
    "size": size, "typed_size": typed_size, "stamp": stamp, "iso": iso, "lasting": lasting, "ago": ago,
    "since": since, "shown": shown, "plural": plural,
}  # fmt: skip
