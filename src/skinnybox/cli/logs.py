"""logs: what a machine printed on its console, and what it goes on to print."""

import argparse
import codecs
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from skinnybox.cli import numbers, options, render, report
from skinnybox.errors import Conflict

if TYPE_CHECKING:
    from socket import socket

Write = Callable[[bytes], None]

_CHUNK = 65536
_SETTLE = 0.05
"""Seconds in which what the log has already also comes through the console."""
_BOTH = 8192
"""Bytes at most that are looked for in both."""


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "logs", _logs, "show what a machine printed on its console",
        "The last 1 to 2 MiB since its last start, also when it is off.",
    )  # fmt: skip
    options.add_machine(parser)
    add = parser.add_argument
    add("-f", "--follow", action="store_true", help="go on with what it prints, until it is off")
    add("-n", "--lines", metavar="N", type=numbers.count_or_none, help="only so many of the last lines")


def _logs(arguments: argparse.Namespace) -> int:
    try:
        _say(arguments, _writer())
    except KeyboardInterrupt:
        if not arguments.follow:
            raise
        print()  # the way to end it: nothing was cut short
    return 0


def _say(arguments: argparse.Namespace, write: Write) -> None:
    with options.fleet(arguments) as fleet, ExitStack() as attached:
        stream = None
        if arguments.follow:
            try:  # before the log is read, so that nothing is between the two
                stream = attached.enter_context(fleet.listen(arguments.name))
            except Conflict as off:
                report.note(f"note: nothing follows: {off.message}")
        said = fleet.console_log(arguments.name)
        write(last_lines(said, arguments.lines))
        if stream is not None:
            follow(stream, said, write)


def last_lines(said: bytes, count: int | None) -> bytes:
    if count is None:
        return said
    return b"".join(said.splitlines(keepends=True)[-count:]) if count else b""


def follow(stream: "socket", said: bytes, write: Write) -> None:
    """What comes after `said`, until the machine is off."""
    time.sleep(_SETTLE)
    stream.setblocking(False)
    try:
        early = stream.recv(_CHUNK)
    except BlockingIOError:
        early = None
    stream.setblocking(True)
    if early is not None:
        write(early[_in_both(said, early) :])
    while early != b"" and (data := stream.recv(_CHUNK)):
        write(data)


def _in_both(said: bytes, early: bytes) -> int:
    """How much of the beginning of `early` is the end of `said`."""
    for length in range(min(len(said), len(early), _BOTH), 0, -1):
        if said.endswith(early[:length]):
            return length
    return 0


def _writer() -> Write:
    """A terminal gets only what it does not obey; a file or a pipe the bytes as they came."""
    if not sys.stdout.isatty():
        return _as_they_came
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    held = ""

    def write(data: bytes) -> None:
        nonlocal held
        text = held + decoder.decode(data)
        held = "\r" if text.endswith("\r") else ""  # the \n that makes a line's end of it may still come
        sys.stdout.write(render.safe_text(text.removesuffix("\r") if held else text))
        sys.stdout.flush()

    return write


def _as_they_came(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
