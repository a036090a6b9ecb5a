"""How full a guest says its overlay is, as levels: a rise or a fall of the level is an event."""

from skinnybox.hosts.events import EventKind, Thresholds

QUIET, WARNING, CRITICAL = 0, 1, 2
_BELOW = 5
_UP = {WARNING: EventKind.OVERLAY_WARNING, CRITICAL: EventKind.OVERLAY_CRITICAL}


def level_of(percent: float, before: int, thresholds: Thresholds) -> int:
    """Up at a threshold; down only 5 points below it."""
    marks = {WARNING: thresholds.warning, CRITICAL: thresholds.critical}
    for level in (CRITICAL, WARNING):
        mark = marks[level] - (_BELOW if before >= level else 0)
        if percent >= mark:
            return level
    return QUIET


def event_of(level: int, before: int) -> EventKind:
    """Of two different levels."""
    return _UP[level] if level > before else EventKind.OVERLAY_RECOVERED


def level_told(kind: EventKind) -> int | None:
    """The level that this event told of; None for one of another kind. Of a fall it tells the lowest."""
    if kind is EventKind.OVERLAY_RECOVERED:
        return QUIET
    return next((level for level, of in _UP.items() if of is kind), None)


def detail(percent: float) -> str:
    return f"{percent:.1f} % of the overlay is used"
