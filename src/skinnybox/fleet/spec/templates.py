"""Texts with `{name}` in them, filled in for one machine; and the tables of values they may name. Pure.

A brace that is to stay is doubled. Nothing else is a language here: no conditions, no loops, no defaults. Who
needs those makes the fleet file by a program.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from skinnybox.errors import UsageError
from skinnybox.overlays.seed import MAX_SEED
from skinnybox.printable import quoted
from skinnybox.sizes import format_size

Row = Mapping[str, str]
Table = Mapping[str, Row]
"""By name of a machine, its values."""

KEY = "[a-z][a-z0-9_]{0,62}"
OWN = ("name", "index", "number")
"""What every machine has without a table; the last only where its name has a number."""
_PLACE = re.compile(rf"\{{({KEY})\}}")
_BRACES = re.compile(rf"\{{\{{|\}}\}}|\{{({KEY})\}}|[{{}}]")
_SHOWN = 20


class _Lines(Protocol):
    """A csv.reader, which has no name of its own to be called by."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


def is_template(text: str) -> bool:
    """Of a text in which braces may also be a pattern, as {1..3} or {a,b} are."""
    return _PLACE.search(text) is not None


def values_of(name: str, index: int, row: Row) -> dict[str, str]:
    """What templates may name of the machine at this place, from 1, of its group."""
    numbers = re.findall("[0-9]+", name)
    own = {"name": name, "index": str(index)}
    if numbers:
        own["number"] = numbers[-1].lstrip("0") or "0"  # 10.0.0.07 is no address, and port 08080 none
    return {**row, **own}


def filled(text: str, values: Row) -> str:
    """The text for one machine. UsageError, with the line in it, for what has no value, and before it takes
    any room for what would be longer than a seed can carry."""
    room = MAX_SEED - len(text)

    def one(found: re.Match[str]) -> str:
        nonlocal room
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] in values:
            room -= len(values[found[1]])
            if room < 0:
                raise UsageError(f"the template makes more than {format_size(MAX_SEED)}")
            return values[found[1]]
        raise UsageError(_where(text, found.start()) + _what(found, values))

    return _BRACES.sub(one, text)


def _where(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line} of it: " if "\n" in text.rstrip("\n") else ""


def _what(found: re.Match[str], values: Row) -> str:
    if found[1] is None:
        return f"a {found[0]} by itself; one that is to stay is doubled, one that names a value is {{name}}"
    known = sorted(values)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{values['name']} has no {{{found[1]}}}: it has {', '.join(known[:_SHOWN])}{more}"


def check_keys(keys: Iterable[str]) -> None:
    """UsageError for a name of a value that no template could name."""
    for key in keys:
        if key in OWN:
            raise UsageError(f"{quoted(key)} is what every machine has by itself")
        if not re.fullmatch(KEY, key):
            raise UsageError(f"{quoted(key)} is no name of a value: lower-case letters, digits and _")


def table_of(text: str) -> dict[str, dict[str, str]]:
    """Of a CSV with a line of names first, one of which is `name`. A field that is empty is no value.
    UsageError with the line."""
    import csv  # as fleet files with such a table are few, and this module is read by every `create`
    import io

    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        return _rows(lines)
    except csv.Error as error:
        raise UsageError(f"line {lines.line_num}: {error}") from error


def _rows(lines: "_Lines") -> dict[str, dict[str, str]]:
    head: list[str] = next(lines, [])
    if "name" not in head:
        raise UsageError("line 1: no column is called `name`")
    if len(set(head)) < len(head):
        raise UsageError("line 1: two columns have the same name")
    check_keys(key for key in head if key != "name")
    found: dict[str, dict[str, str]] = {}
    for fields in lines:
        if not fields:
            continue
        if len(fields) != len(head):
            raise UsageError(f"line {lines.line_num}: {len(fields)} fields, not {len(head)}")
        row = dict(zip(head, fields, strict=True))
        name = row.pop("name")
        if name in found:
            raise UsageError(f"line {lines.line_num}: {quoted(name)} is there twice")
        found[name] = {key: value for key, value in row.items() if value}
    return found
