"""What makes a change that is asked for a job (jobs.py):

    class Overlays:
        @as_job("reset")
        def reset(self, patterns, operation=UNATTENDED): ...

A method that changes something says its verb so. What it is done to stands first; it is handed the operation
of its job. What it calls of its kind is a part of that job, and none of its own. Every command reads this, so
what only jobs need is imported by the first of them.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from skinnybox.fleet.catalog.catalog import Catalog

P = ParamSpec("P")
R = TypeVar("R")


def as_job(verb: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Each call is a job, unless it is a part of one. For methods of what has a `_catalog`."""

    def decorated(method: Callable[P, R]) -> Callable[P, R]:
        code = method.__code__
        takes_one = "operation" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

        @functools.wraps(method)
        def call(*args: P.args, **named: P.kwargs) -> R:
            from skinnybox.fleet import jobs

            given = (*args, *named.values())
            asked = next((each for each in given if isinstance(each, Operation)), UNATTENDED)
            if any(isinstance(each, jobs.JobOperation) for each in asked.lineage()):
                return method(*args, **named)
            catalog: Catalog = args[0]._catalog  # type: ignore[attr-defined]
            with jobs.recorded(catalog, verb, jobs.subjects(given[1:]), asked) as record:
                words: list[Any] = [record.operation if each is asked else each for each in args]
                others: dict[str, Any] = dict(named)
                if takes_one and asked not in args:
                    others["operation"] = record.operation
                value = cast(Callable[..., R], method)(*words, **others)
                record.results = jobs.results(value)
                return value

        return call

    return decorated
