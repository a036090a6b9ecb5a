"""Short words that users of such tools type, in full: the parser, its help and completion know only those.

Unlike former words (former.py) they are here to stay, and nobody is told to write otherwise.
"""

from collections.abc import Sequence

from skinnybox.cli.former import command_words

SHORT = {"ls": "list", "rm": "delete", "info": "show"}
BELOW = {
    "master": {"ls": "list", "rm": "remove", "info": "show"},
    "snapshot": {"ls": "list", "rm": "delete"},
}
HELP = "help"


def in_full(words: Sequence[str]) -> list[str]:
    """The same command line; `help master build` is `master build --help`."""
    command = command_words(words)
    if not command:
        return list(words)
    before = list(words[: len(words) - len(command)])
    if command[0] == HELP:
        return [*before, *_full(command[1:]), "--help"]
    return [*before, *_full(command)]


def _full(command: Sequence[str]) -> list[str]:
    first, *rest = command or [""]
    short = BELOW.get(first, {})
    if rest and rest[0] in short:
        rest[0] = short[rest[0]]
    return [SHORT.get(first, first), *rest] if command else []
