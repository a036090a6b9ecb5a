"""From the words of a command line to an exit code."""

import argparse
import sys
from collections.abc import Sequence

from skinnybox.cli import interrupt
from skinnybox.cli.aliases import in_full
from skinnybox.cli.former import command_of, in_words_of_today
from skinnybox.cli.options import Plain
from skinnybox.cli.parser import build_parser
from skinnybox.cli.report import quietly, say, warn
from skinnybox.errors import SkinnyboxError, from_system

BUG = 70
_RUN_IN_MACHINES = ("exec", "ssh")


def run_command(words: Sequence[str]) -> int:
    """The exit code; see `errors` for the table. 70 is a bug of ours, 130 an interruption."""
    arguments = parsed(words)
    try:
        with interrupt.raised(), quietly(arguments.quiet):
            return _run(arguments)
    except KeyboardInterrupt:
        warn("interrupted; the same command again goes on")
        return interrupt.INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except SkinnyboxError as error:
        if arguments.debug:
            _show_origin()
        say(error)
        return error.exit_code
    except Exception as error:
        denied = from_system(error) if isinstance(error, OSError) else None
        if denied is not None and not arguments.debug:
            say(denied)
            return denied.exit_code
        _show_origin()
        warn("this is a bug of Skinnybox, please report it with the lines above")
        return BUG


def _show_origin() -> None:
    import traceback

    traceback.print_exc()


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """What this line says; `command` is what stands behind `--` where that runs in a machine. Everywhere else
    `--` says that only arguments follow."""
    cut = list(words).index("--") if "--" in words else len(words)
    ours, command = in_full(words[:cut]), list(words[cut + 1 :])
    named = command_of(ours)
    parser = build_parser(named)
    if cut < len(words) and named not in _RUN_IN_MACHINES:
        if "--" in command:
            parser.error("`--` is no argument, and needed once only")
        ours, command = [*ours, *map(Plain, command)], []
    arguments = parser.parse_args(in_words_of_today(ours))
    arguments.command = command
    return arguments
