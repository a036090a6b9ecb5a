"""The only package that starts programs.

Every program gets a fixed locale, no standard input unless one is given, no shell, no descriptor it was not
handed, and of our environment only what is named. A program that fails is reported once, with the end of what
it said. Most commands start none: what Python needs for that, subprocess and more, waits for the first.
"""

from typing import TYPE_CHECKING, Any

from skinnybox.run.environment import FETCHING, NOTHING, ORDINARY, OURSELVES, WITH_AGENT, Names, find

if TYPE_CHECKING:
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
        interactive,
        run,
        start,
        tied,
        widen,
        with_us,
    )

__all__ = [
    "FETCHING",
    "NOTHING",
    "ORDINARY",
    "OURSELVES",
    "PIPE",
    "STDOUT",
    "WITH_AGENT",
    "Argv",
    "Child",
    "Ended",
    "Names",
    "Overdue",
    "Stream",
    "detach",
    "feed",
    "find",
    "interactive",
    "run",
    "start",
    "tied",
    "widen",
    "with_us",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from skinnybox.run import programs

    return getattr(programs, name)
