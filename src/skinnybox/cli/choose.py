"""--columns, --sort and --reverse: which fields of what is listed, and in which order."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from skinnybox.errors import UsageError
from skinnybox.fleet.names import near

T = TypeVar("T")


def add_columns(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--columns", metavar="COLUMN,...", type=_several, default=(), help="these, in this order: fields as "
        "`--format json` names them")  # fmt: skip
    add("--sort", metavar="COLUMN", help="by this field (default: by name); numbers in names count as such")
    add("--reverse", action="store_true", help="the other way round")


def _several(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def checked(arguments: argparse.Namespace, known: Sequence[str]) -> tuple[str, ...]:
    """The columns that are asked for, none when nobody does. UsageError for one that there is not, before
    anything is looked at."""
    columns: tuple[str, ...] = arguments.columns
    for column in (*columns, *filter(None, [arguments.sort])):
        if column not in known:
            hint = near(column, known, f"one of {', '.join(known)}")
            raise UsageError(f"there is no column {column!r}", hint=hint)
    return columns


def ordered(
    arguments: argparse.Namespace, items: Sequence[T], record: Callable[[T], Mapping[str, Any]]
) -> list[T]:
    """What has no value comes last, either way round."""
    if arguments.sort is None:
        return list(reversed(items)) if arguments.reverse else list(items)
    values = [(record(item)[arguments.sort], item) for item in items]
    having = [pair for pair in values if pair[0] is not None]
    having.sort(key=lambda pair: _rank(pair[0]), reverse=arguments.reverse)
    return [item for _, item in having] + [item for value, item in values if value is None]


def _rank(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    pieces = re.split("([0-9]+)", text)  # texts and numbers by turns: web-2 before web-10
    return [(len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(pieces)]
