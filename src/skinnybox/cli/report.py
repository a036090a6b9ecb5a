"""What is said for a person: errors, what was done, and notes. The one place that knows of --quiet.

What a command was asked for (a list, a script, a file's schema) it prints itself, and goes on to print with
--quiet; whatever else there is to say is said here. tests/fleet/test_quiet.py holds both.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from skinnybox.errors import SkinnyboxError
from skinnybox.printable import printable

if TYPE_CHECKING:
    from skinnybox.fleet.batch import Outcome

R = TypeVar("R")

# Of the process, not of a context: what threads at work report is said or not as the rest of the command.
_quiet = False


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """During the block nothing but errors is said, if `quiet`."""
    global _quiet
    before, _quiet = _quiet, quiet
    try:
        yield
    finally:
        _quiet = before


def done(text: str) -> None:
    """What was done: a line on standard output."""
    if not _quiet:
        print(text)


def note(text: str) -> None:
    """What is good to know beside it: a line on standard error."""
    if not _quiet:
        print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """What went wrong without being an error of this command: it is said to quiet users too."""
    print(f"skinnybox: {text}", file=sys.stderr)


def say(error: SkinnyboxError, name: str | None = None) -> None:
    """One error, with its hint. What is wrong with a file may take several lines."""
    of = f"{name}: " if name and not _names(error.message, name) else ""
    warn(of + "\n".join(map(printable, error.message.split("\n"))))
    if error.hint:
        print(f"  hint: {printable(error.hint)}", file=sys.stderr)


def _names(message: str, name: str) -> bool:
    """Whether it says of whom it is: /etc/web.conf, web-01 and the master web:1 are not the machine web."""
    return re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|[.:]\w)", message) is not None


def outcomes(results: "Sequence[Outcome[R]]", told: Callable[[R], str]) -> int:
    """A line for each machine; the exit code is that of the worst."""
    from skinnybox.fleet.batch import worst

    for result in results:
        if result.error:
            say(result.error, result.name)
        else:
            done(f"{result.name}: {told(result.value)}")  # type: ignore[arg-type]
    return worst(results)
