"""The only package that starts programs.

Every program gets a fixed locale, no standard input unless one is given, no shell, no descriptor it was not
handed, and of our environment only what is named. A program that fails is reported once, with the end of what
it said.
"""

from skinnybox.run.environment import FETCHING, NOTHING, ORDINARY, OURSELVES, WITH_AGENT, Names
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
    widen,
)
from skinnybox.run.together import together

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
    "together",
    "widen",
]
