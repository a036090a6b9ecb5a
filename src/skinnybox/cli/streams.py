"""The standard streams of the command, before anything else uses them: there, and with failures of their own.

Whoever starts us may have closed some of them (`>&-`, cron, a service). Then the next file we open gets that
number, and what we print goes into it: a catalog, a disk. And a full disk below our *output* is not one below
the state folder, though the errno is the same.
"""

import io
import os
import sys

from skinnybox.errors import CannotWrite

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing, or contextlib, takes longer than all the rest of `--version`
    from typing import Any, TextIO

_IN, _OUT, _ERR = 0, 1, 2


class _Output(io.FileIO):
    """CannotWrite when it cannot be written; what is still to come goes nowhere, so that it is told once."""

    def write(self, data: "Any", /) -> int:
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            _nowhere(self.fileno())
            raise CannotWrite(f"cannot write the output: {error.strerror}") from error


class _Words(io.FileIO):
    """What is said beside the output. That nobody can hear it is no reason to leave the work half done."""

    def write(self, data: "Any", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def prepare() -> None:
    """Once, by who owns the process."""
    for number in (_IN, _OUT, _ERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(_IN, closefd=False)  # noqa: SIM115 (a descriptor, for good)
    sys.stdout = _text(_Output(_OUT, "wb", closefd=False), sys.stdout, errors="strict")
    sys.stderr = _text(_Words(_ERR, "wb", closefd=False), sys.stderr, errors="backslashreplace", lines=True)


def _text(raw: io.FileIO, before: "TextIO | None", *, errors: str, lines: bool = False) -> "TextIO":
    """As Python made it."""
    known: Any = before
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=known.encoding if known is not None else "utf-8",
        errors=known.errors if known is not None else errors,
        line_buffering=lines or (known is not None and (known.line_buffering or known.write_through)),
    )


def _nowhere(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, descriptor)
    os.close(null)
