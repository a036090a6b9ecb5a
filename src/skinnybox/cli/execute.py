"""exec: in one machine the command is joined to our own streams; in several what each says is kept, and shown
in the end."""

import argparse
import codecs
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from skinnybox.cli import options, render, report
from skinnybox.cli.options import path
from skinnybox.cli.progress import shown
from skinnybox.errors import NotReached, SkinnyboxError, TimedOut, UsageError
from skinnybox.fleet import present
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.access import Login
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.conversation import Sink, Streams
    from skinnybox.fleet.remote import Executed
    from skinnybox.fleet.service import Fleet
    from skinnybox.fleet.spool import Spool
    from skinnybox.operation import Operation

_STDIN = 0
_FAILED = 1
_OF_ONE = ((NotReached, 255), (TimedOut, 124))
"""Exit codes that ssh itself and timeout(1) have for the same; all others are the command's."""


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "exec", _exec, "run the command after `--` in machines, by ssh",
        "In one machine it reads and writes what this command reads and writes, byte by byte, and the exit "
        "code is its own; 255 is ssh's when a line on standard error says so, 124 that its time was over. In "
        "several each reads the whole of standard input, what they say is shown when all have ended, and the "
        "exit code is that of the worst: 1 when the command failed anywhere.",
    )  # fmt: skip
    options.add_machines(parser)
    add_login(parser)
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="how long it may take in each machine (no limit)"
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text",
        help="json: a list of all machines, also of one, and then the exit code is as of several",
    )  # fmt: skip
    options.add_parallel(parser)


def add_login(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--user", help="instead of the machine's own")
    parser.add_argument(
        "-i", "--identity", metavar="FILE", type=path, help="a private key instead of the fleet's own"
    )


def login(arguments: argparse.Namespace) -> "Login":
    from skinnybox.fleet.access import Login

    return Login(user=arguments.user, key=arguments.identity)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _exec(arguments: argparse.Namespace) -> int:
    if not arguments.command:
        raise UsageError("exec needs a command after `--`", hint="skinnybox exec 'web-*' -- uptime")
    with options.fleet(arguments) as fleet:
        names = [machine.name for machine in fleet.machines(arguments.names)]
        if len(names) == 1 and arguments.format == "text":
            return _in_one(fleet, names[0], arguments)
        with shown(arguments.quiet) as operation, _input(operation) as spool:
            results = fleet.remote.execute(
                names,
                arguments.command,
                login=login(arguments),
                stdin=spool,
                timeout=arguments.timeout,
                parallel=arguments.parallel,
                operation=operation,
            )
    if arguments.format == "json":
        render.emit([present.executed(result) for result in results], (), "json")
    else:
        for result in results:
            _show(result)
    return _code(results)


def _in_one(fleet: "Fleet", name: str, arguments: argparse.Namespace) -> int:
    """Nothing of ours is written between: no progress, and the streams are the command's."""
    with joined(_STDIN) as streams, shown(quiet=True) as operation:
        try:
            return fleet.remote.attach(
                name,
                arguments.command,
                streams,
                login=login(arguments),
                timeout=arguments.timeout,
                operation=operation,
            )
        except (NotReached, TimedOut) as error:
            report.say(error)
            return next(code for kind, code in _OF_ONE if isinstance(error, kind))


@contextmanager
def joined(stdin: int) -> "Iterator[Streams]":
    """A command's, that reads this and writes to ours."""
    from skinnybox.fleet.conversation import Streams

    with _sink(sys.stdout) as out, _sink(sys.stderr) as err:
        yield Streams(stdin=stdin, stdout=out, stderr=err)


@contextmanager
def _sink(stream: TextIO) -> "Iterator[int | Sink]":
    """A file or a pipe is the command's to write; a terminal gets only what it does not obey."""
    stream.flush()
    if not stream.isatty():
        yield stream.fileno()
        return
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(piece: bytes, final: bool = False) -> None:
        stream.write(render.safe_text(decoder.decode(piece, final)))
        stream.flush()

    yield write
    write(b"", True)


@contextmanager
def _input(operation: "Operation") -> "Iterator[Spool | None]":
    """What each of several machines reads. Nobody is asked to type it."""
    if os.isatty(_STDIN):
        yield None
        return
    from skinnybox.fleet.spool import spooled

    with spooled(_STDIN, operation) as spool:
        yield spool


def _show(result: "Outcome[Executed]") -> None:
    """Its output first, whole or cut, then what went wrong with it."""
    value = result.value
    if value is not None:
        for said, what, stream in ((value.out, "output", sys.stdout), (value.err, "error", sys.stderr)):
            _print_output(result.name, said.content, stream)
            if said.cut:
                kept, whole = format_size(len(said.content)), format_size(len(said.content) + said.cut)
                report.warn(f"{result.name}: only {kept} of {whole} of its standard {what} were kept")
    error = _error(result)
    if error is not None:
        report.say(error, result.name)


def _print_output(name: str, content: bytes, stream: TextIO) -> None:
    """Line by line under its name; the bytes as they are, but on a terminal."""
    lines = content.split(b"\n")
    if lines[-1] == b"":
        del lines[-1]
    stream.flush()
    for line in lines:
        whole = f"{name}: ".encode() + line
        stream.buffer.write((render.safe(whole).encode() if stream.isatty() else whole) + b"\n")
    stream.flush()


def _error(result: "Outcome[Executed]") -> SkinnyboxError | None:
    return result.error or (result.value.error if result.value else None)


def _code(results: "Sequence[Outcome[Executed]]") -> int:
    """That of the worst, as of every batch; a command that failed, however, counts as failed."""
    codes = [error.exit_code for error in map(_error, results) if error]
    failed = any(result.value and result.value.code for result in results)
    return max([*codes, _FAILED * failed])
