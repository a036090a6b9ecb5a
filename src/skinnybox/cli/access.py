"""console, ssh, exec."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from skinnybox.cli import options, render, report
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.fleet.batch import worst

if TYPE_CHECKING:
    from socket import socket

    from skinnybox.fleet.access import Login

DETACH = b"\x1d"  # Ctrl-]


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "console", _console, "attach to a machine's serial console",
        "Ctrl-] detaches; the machine does not notice. Several may be attached at once.",
    )  # fmt: skip
    options.add_machine(parser)
    parser.add_argument("--log", action="store_true", help="print what it said so far, and end")

    parser = options.command(
        commands, "ssh", _ssh, "log in by ssh, or run a command after `--`",
        "The host keys are those the machine itself reported. Exits as ssh does.",
    )  # fmt: skip
    options.add_machine(parser)
    _add_login(parser)

    parser = options.command(
        commands, "exec", _exec, "run the command after `--` in machines, by ssh",
        "One machine: the exit code is the command's. Several: 1 when it failed anywhere.",
    )  # fmt: skip
    options.add_machines(parser)
    _add_login(parser)
    options.add_parallel(parser)


def _add_login(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--user", help="instead of the machine's own")
    parser.add_argument(
        "-i", "--identity", metavar="FILE", type=Path, help="a private key instead of the fleet's own"
    )


def _login(arguments: argparse.Namespace) -> "Login":
    from skinnybox.fleet.access import Login

    return Login(user=arguments.user, key=arguments.identity)


def _console(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        if arguments.log:
            said = fleet.console_log(arguments.name)
            # A terminal obeys what it is sent; a file or a pipe gets the bytes as they came.
            sys.stdout.buffer.write(render.safe(said).encode() if sys.stdout.isatty() else said)
            return 0
        with fleet.console(arguments.name) as stream:
            print(f"attached to {arguments.name}; Ctrl-] detaches", file=sys.stderr)
            with _raw_terminal():
                _relay(stream)
    print(f"\ndetached from {arguments.name}", file=sys.stderr)
    return 0


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Every key goes to the guest; a pipe instead of a terminal is left as it is."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _relay(stream: "socket") -> None:
    """Both ways until the machine goes off, the input ends, or the user detaches."""
    import select

    sources = [stream.fileno(), sys.stdin.fileno()]
    while True:
        readable, _, _ = select.select(sources, [], [])
        if stream.fileno() in readable:
            data = stream.recv(65536)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if sys.stdin.fileno() in readable:
            keys = os.read(sys.stdin.fileno(), 4096)
            before, detach, _ = keys.partition(DETACH)
            stream.sendall(before)
            if detach or not keys:
                return


def _ssh(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        return fleet.ssh(arguments.name, arguments.command, _login(arguments))


def _exec(arguments: argparse.Namespace) -> int:
    if not arguments.command:
        raise UsageError("exec needs a command after `--`", hint="skinnybox exec 'web-*' -- uptime")
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.execute(
            arguments.names,
            arguments.command,
            login=_login(arguments),
            parallel=arguments.parallel,
            operation=operation,
        )
    for result in results:
        if result.error:
            report.say(result.error, result.name)
        elif result.value:
            _print_output(result.name if len(results) > 1 else None, result.value.stdout, sys.stdout)
            _print_output(result.name if len(results) > 1 else None, result.value.stderr, sys.stderr)
    codes = [result.value.code for result in results if result.value]
    if len(results) == 1 and codes:
        return codes[0]
    return max(worst(results), int(any(codes)))


def _print_output(name: str | None, output: bytes, stream: TextIO) -> None:
    text = render.safe(output) if stream.isatty() else output.decode("utf-8", "replace")
    for line in text.splitlines():
        print(f"{name}: {line}" if name else line, file=stream)
