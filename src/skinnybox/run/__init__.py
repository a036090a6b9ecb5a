"""The only package that starts programs.

Every program gets a fixed locale, no standard input unless one is given, no shell, and no descriptor it was
not handed. A program that fails is reported once, with the end of what it said.
"""

from skinnybox.run.programs import (
    PIPE,
    STDOUT,
    Argv,
    Child,
    Ended,
    Overdue,
    Stream,
    detach,
    feed,
    find,
    interactive,
    run,
    start,
    tied,
)

__all__ = [
    "PIPE",
    "STDOUT",
    "Argv",
    "Child",
    "Ended",
    "Overdue",
    "Stream",
    "detach",
    "feed",
    "find",
    "interactive",
    "run",
    "start",
    "tied",
]
