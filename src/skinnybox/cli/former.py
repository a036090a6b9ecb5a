"""Command lines as they were typed before: each goes on working, and says the new words on standard error.

They are put into the words of today before the parser sees them: the parser, its help and shell completion
know only those.
"""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from skinnybox.cli.options import Parser, add_common, add_format, add_yes
from skinnybox.cli.report import note

_SNAPSHOT = ("create", "list", "restore", "delete", "-h", "--help")


class _NotFormer(Exception):
    pass


class _Reader(Parser):
    """Leaves it to the parser of today to say what is wrong, with the usage of today."""

    def error(self, message: str) -> NoReturn:
        raise _NotFormer(message)


def in_words_of_today(words: Sequence[str]) -> list[str]:
    """The same command line, as it is written now; unchanged when it was never written otherwise."""
    try:
        command = _command(words)
        if command[:1] == ["changes"] and "--live" in command:
            today = [word for word in command if word != "--live"]  # the disk was quicker, and tells more
        elif command[:1] == ["snapshot"] and command[1:] and command[1] not in _SNAPSHOT:
            today = _snapshot(command[1:])
        else:
            return list(words)
    except _NotFormer:
        return list(words)
    if not {"-q", "--quiet"}.intersection(words):  # nobody has parsed that yet
        import shlex

        note(f"skinnybox: this is now: skinnybox {shlex.join(today)}")
    return [*words[: len(words) - len(command)], *today]


def command_of(words: Sequence[str]) -> str | None:
    """The command in a line of which some words may be missing yet; None when nobody would understand it."""
    return next(iter(command_words(words)), None)


def command_words(words: Sequence[str]) -> list[str]:
    """The words from the command on; none when nobody would understand the line."""
    try:
        return _command(words)
    except _NotFormer:
        return []


def _command(words: Sequence[str]) -> list[str]:
    """The words from the command on, behind the options that may stand before it: mostly there are none."""
    if words and not words[0].startswith("-"):
        return list(words)
    reader = _Reader(add_help=False)
    add_common(reader, top=True)
    reader.add_argument("--version", action="store_true")
    reader.add_argument("command", nargs=argparse.REMAINDER)
    command: list[str] = reader.parse_args(list(words)).command
    return command


def _snapshot(words: Sequence[str]) -> list[str]:
    """`snapshot NAME... [--label LABEL]`, with `--list`, `--restore LABEL` or `--delete LABEL`."""
    reader = _Reader(add_help=False)
    add_common(reader)
    reader.add_argument("names", nargs="*")
    reader.add_argument("--label")
    what = reader.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true")
    what.add_argument("--restore")
    what.add_argument("--delete")
    add_yes(reader)
    add_format(reader)
    said = reader.parse_args(list(words))
    yes = ["--yes"] * said.yes
    if said.list:
        form = ["--format", said.format] if said.format != "table" else []
        today = ["list", *said.names, *form, *["--no-headers"] * said.no_headers]
    elif said.restore is not None:
        today = ["restore", said.restore, *said.names, *yes]
    elif said.delete is not None:
        today = ["delete", said.delete, *said.names, *yes]
    else:
        today = ["create", *said.names, *(["--label", said.label] if said.label is not None else [])]
    return ["snapshot", *today, *_common(said)]


def _common(said: argparse.Namespace) -> list[str]:
    found = vars(said)
    values = [word for key in ("state", "host") if key in found for word in (f"--{key}", str(found[key]))]
    return [*values, *(f"--{key}" for key in ("quiet", "debug") if found.get(key))]
