"""console, ssh."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skinnybox.cli import execute, options, render, report

if TYPE_CHECKING:
    from socket import socket

    from skinnybox.fleet.service import Fleet

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
        "The host keys are those the machine itself reported. Exits as ssh does. Options of ssh's own that "
        "do not change that may be given as to ssh.",
    )  # fmt: skip
    options.add_machine(parser)
    execute.add_login(parser)
    _add_options_of_ssh(parser)

    execute.add_to(commands)


def _add_options_of_ssh(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("as of ssh").add_argument
    for letter, what in (
        ("L", "a port here leads into the machine, as in 8080:localhost:80"),
        ("R", "a port of the machine leads here"),
        ("D", "a SOCKS proxy here, which goes out from the machine"),
    ):
        add(f"-{letter}", metavar="PORTS", action="append", default=[], help=f"{what}; may repeat")
    add("-N", action="store_true", help="no command: only what -L, -R and -D say")
    add("-t", action="store_true", help="a terminal there also for a command")
    add("-v", action="count", default=0, help="say what ssh does; may repeat")
    add("-o", metavar="OPTION", action="append", default=[], help="OPTION=VALUE of ssh_config(5); may repeat")


def _options_of_ssh(arguments: argparse.Namespace) -> list[str]:
    from skinnybox.fleet import ssh_words

    words = [word for text in arguments.o for word in ssh_words.option(text)]
    for letter in "LRD":
        words += [word for text in getattr(arguments, letter) for word in ssh_words.forwarding(letter, text)]
    verbose = ["-" + "v" * min(arguments.v, 3)] if arguments.v else []
    return [*words, *["-N"] * arguments.N, *["-t"] * arguments.t, *verbose]


def _console(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        if arguments.log:
            said = fleet.console_log(arguments.name)
            # A terminal obeys what it is sent; a file or a pipe gets the bytes as they came.
            sys.stdout.buffer.write(render.safe(said).encode() if sys.stdout.isatty() else said)
            return 0
        attach(fleet, arguments.name)
    return 0


def attach(fleet: "Fleet", name: str) -> None:
    """To a machine's console, until the machine goes off, the input ends, or the user detaches."""
    with fleet.console(name) as stream:
        report.note(f"attached to {name}; Ctrl-] detaches")
        with _raw_terminal():
            _relay(stream)
    report.note(f"\ndetached from {name}")


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
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        if sys.stdin.fileno() in readable:
            keys = os.read(sys.stdin.fileno(), 4096)
            before, detach, _ = keys.partition(DETACH)
            stream.sendall(before)
            if detach or not keys:
                return


def _ssh(arguments: argparse.Namespace) -> int:
    more = _options_of_ssh(arguments)
    with options.fleet(arguments) as fleet:
        return fleet.remote.ssh(arguments.name, arguments.command, execute.login(arguments), more)
