"""Errors and per-machine results, for a person, on standard error."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from skinnybox.errors import SkinnyboxError
from skinnybox.printable import printable

if TYPE_CHECKING:
    from skinnybox.fleet.batch import Outcome

R = TypeVar("R")


def say(error: SkinnyboxError, name: str | None = None) -> None:
    """One error, with its hint. What is wrong with a file may take several lines."""
    of = f"{name}: " if name and name not in error.message else ""
    message = "\n".join(map(printable, error.message.split("\n")))
    print(f"skinnybox: {of}{message}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {printable(error.hint)}", file=sys.stderr)


def outcomes(results: "Sequence[Outcome[R]]", done: Callable[[R], str]) -> int:
    """A line for each machine; the exit code is that of the worst."""
    from skinnybox.fleet.batch import worst

    for result in results:
        if result.error:
            say(result.error, result.name)
        else:
            print(f"{result.name}: {done(result.value)}")  # type: ignore[arg-type]
    return worst(results)
