"""Options and arguments that several commands share, and how a command gets at the fleet."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from skinnybox.cli import interrupt, numbers, report, terminal
from skinnybox.cli.complete import ask_for
from skinnybox.cli.render import FORMATS
from skinnybox.errors import UsageError
from skinnybox.fleet.catalog.host_kind import ADDRESSES, QEMU
from skinnybox.fleet.names import near
from skinnybox.fleet.settings import Settings, load
from skinnybox.printable import printable

if TYPE_CHECKING:
    from skinnybox.fleet.service import Fleet

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run: TypeAlias = Callable[[argparse.Namespace], int]


class _NotPlain(Exception):
    """A line that argparse does not take as it stands."""


class Plain(str):
    """A word that stands behind `--`: an argument, whatever it looks like."""

    __slots__ = ()


class Parser(argparse.ArgumentParser):
    """Takes Plain words for what they are, and arguments also behind options that stand between them.

    `--` itself never comes here: what argparse does with it depends on where it stands among the arguments,
    on their numbers, and on the version of Python.
    """

    _within = _trying = False
    _words: Sequence[str] = ()

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"formatter_class": Help, **how})

    def error(self, message: str) -> NoReturn:
        """With the usage of this very command, and what was perhaps meant."""
        if self._trying:
            raise _NotPlain
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"{self.prog}: error: {message}\n  hint: {self._hint()}\n")

    def _hint(self) -> str:
        long = [option for option in self._option_string_actions if option.startswith("--")]
        for word in self._words:
            option = word.partition("=")[0]
            if isinstance(word, Plain) or not option.startswith("--"):
                continue
            if not any(known.startswith(option) for known in long):
                return near(option, long, before="--") or f"{self.prog} --help"
        return f"{self.prog} --help"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """A word that is no command gets no list of all that there are."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            from skinnybox.cli.aliases import HELP, SHORT

            short = [HELP, *SHORT] if not self._subcommand else []
            hint = near(str(value), [*action.choices, *short]) or f"`{self.prog} --help` lists them"
            what = f"{self.prog}: there is no command {printable(str(value))!r}\n  hint: {hint}\n"
            self.exit(UsageError.exit_code, what)
        super()._check_value(action, value)

    @property
    def _subcommand(self) -> bool:
        return " " in self.prog

    def format_help(self) -> str:
        from skinnybox.cli.examples import of_command

        return super().format_help() + of_command(self.prog)

    def _parse_optional(self, arg_string: str) -> Any:
        return None if isinstance(arg_string, Plain) else super()._parse_optional(arg_string)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Intermixed, where there are no commands below and the line needs it; older Pythons do that by
        calling this again, and write the whole usage beforehand."""
        if self._within:
            return super().parse_known_args(args, namespace)
        rest = (argparse.PARSER, argparse.REMAINDER)
        below = any(action.nargs in rest for action in self._get_positional_actions())
        self._within, self._words = True, () if below else args or ()
        try:
            if below:
                found, unknown = super().parse_known_args(args, namespace)
            else:
                plain = self._plainly(args) if namespace is None else None
                found, unknown = plain or self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False
        if unknown:  # here, not in the outermost parser, whose usage does not help
            self._words = self._words or unknown
            self.error(f"unrecognized arguments: {printable(' '.join(unknown))}")
        return found, unknown

    def _plainly(self, args: Any) -> Any:
        """What the line says where its arguments stand together, which is what it says intermixed too."""
        self._trying = True
        try:
            found, unknown = super().parse_known_args(args, None)
        except _NotPlain:
            return None
        finally:
            self._trying = False
        return None if unknown else (found, unknown)


class Help(argparse.HelpFormatter):
    """`-l, --user USER`, as argparse itself says from Python 3.13 on: one help for every Python. One is made
    for each argument that a parser is given, so it asks nobody for the width who takes long to import."""

    def __init__(self, prog: str, **how: Any) -> None:
        super().__init__(prog, **{"width": terminal.columns() - 2, **how})

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


def command(
    commands: Commands, name: str, run: Run, summary: str, detail: str = ""
) -> argparse.ArgumentParser:
    """A new command. `summary` is its line in the overview, `detail` more of its own help."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. {detail}".rstrip(),
    )
    parser.set_defaults(run=run)
    add_common(parser)
    return parser


def group(commands: Commands, name: str, summary: str) -> Commands:
    """A noun that has commands of its own."""
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    subcommands: Commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    return subcommands


def add_common(parser: argparse.ArgumentParser, *, top: bool = False) -> None:
    """They may stand before or after the command; only the outer parser has defaults."""

    def absent(value: Any) -> Any:
        return value if top else argparse.SUPPRESS

    options = parser.add_argument_group("everywhere")
    options.add_argument(
        "--state",
        metavar="FOLDER",
        type=path,
        default=absent(None),
        help="where masters and machines are kept",
    )
    options.add_argument(
        "--host",
        metavar="HOST",
        default=absent(None),
        help=f"where machines run: {ADDRESSES} (default {QEMU.address})",
    )
    options.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=absent(False),
        help="nothing but what was asked for, and errors",
    )
    options.add_argument(
        "--debug", action="store_true", default=absent(False), help="show where an error came from"
    )


def path(text: str) -> Path:
    """Of an option or an argument. An empty one would be the folder one is in, which nobody means by it."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def guest_path(text: str) -> str:
    """The same of a path in a guest, which stays as it was written."""
    path(text)
    return text


def add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, default="table", help="table is for people")
    parser.add_argument("--no-headers", action="store_true", help="table and csv without the first line")


def add_machines(parser: argparse.ArgumentParser, what: str = "+", beside: str = "") -> None:
    """Names of existing machines, and what else may stand there; `what` as argparse's nargs."""
    text = f"names, web-{{01..40}} or globs like 'web-*'{beside}"
    ask_for(parser.add_argument("names", metavar="NAME", nargs=what, help=text), "machines")
    parser.add_argument(
        "--filter", metavar="LABEL", action="append", default=[],
        help="of these only those with this label: KEY=VALUE, KEY!=VALUE, KEY or !KEY; "
        "KEY may also be one of {state,master,fleet,name}; may repeat",
    )  # fmt: skip


def add_machine(parser: argparse.ArgumentParser) -> None:
    ask_for(parser.add_argument("name", metavar="NAME", help="the machine"), "machines")


def add_parallel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parallel", metavar="N", type=numbers.count, help="how many machines at once")


def add_timeout(parser: argparse.ArgumentParser, seconds: float, help_text: str) -> None:
    from skinnybox.fleet.patience import MOST

    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=numbers.seconds,
        help=f"{help_text} (default {seconds:g}, and up to {MOST} times as long while it is seen to work)",
    )


def settings(arguments: argparse.Namespace) -> Settings:
    flags = {"state": arguments.state, "host": arguments.host}
    return load(os.environ, flags)


@contextmanager
def fleet(arguments: argparse.Namespace, *, repairing: bool = False) -> "Iterator[Fleet]":
    """The fleet this command line means; see open_host in fleet/registry.py."""
    from skinnybox.fleet.registry import open_fleet

    with open_fleet(settings(arguments), repairing=repairing) as opened:
        if filters := vars(arguments).get("filter"):
            from skinnybox.fleet.labelled import meant

            arguments.names = meant(opened.machines(arguments.names or ["*"]), filters)
        yield opened
        if opened.note:
            report.warn(f"note: {opened.note}")


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def confirm(arguments: argparse.Namespace, deed: str, details: Sequence[str] = ()) -> None:
    """Ask before what cannot be undone. Without a terminal to ask on, only --yes goes on."""
    if arguments.yes:
        return
    for line in details:
        print(line, file=sys.stderr)
    if not sys.stdin.isatty():
        raise UsageError(f"not done without a yes: {deed}", hint="--yes says it beforehand")
    print(f"About to {deed}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    with interrupt.raised():
        answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise UsageError("not done")


def confirm_for(arguments: argparse.Namespace, names: Sequence[str], deed: str) -> None:
    """The same of those machines that nothing speaks against; `{}` in the deed stands for them. Of none of
    them nobody is asked: what speaks against it is told in the end."""
    if names:
        confirm(arguments, deed.replace("{}", listed(names)))


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
