"""What is found goes to standard output: a table for people, or JSON, YAML or CSV for programs."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from skinnybox.cli import terminal
from skinnybox.printable import printable

_WIDE = (
    "\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
_FORMULA = tuple(f"=+-@\t\r{_WIDE}")
"""With these a spreadsheet begins to compute, and what it computes may be a guest's text."""
FORMATS = ("table", "json", "yaml", "csv")

Record = Mapping[str, Any]

_BETWEEN = "  "


def emit(
    records: Sequence[Record], columns: Sequence[str], fmt: str, *, headers: bool = True, one: bool = False
) -> None:
    """`columns` are what a table or CSV shows; the other formats hold everything. With `one` they hold the
    record itself instead of a list."""
    match fmt:
        case "json":
            import json

            print(json.dumps(records[0] if one else list(records), indent=2))
        case "yaml":
            import yaml

            content = dict(records[0]) if one else [dict(record) for record in records]
            print(yaml.safe_dump(content, sort_keys=False), end="")
        case "csv":
            import csv

            writer = csv.writer(sys.stdout, lineterminator="\n")
            if headers:
                writer.writerow(columns)
            writer.writerows([_cell(record.get(column)) for column in columns] for record in records)
        case _:
            table([[plain(record.get(c)) for c in columns] for record in records], columns if headers else ())


def table(rows: Sequence[Sequence[str]], columns: Sequence[str] = ()) -> None:
    """Columns two blanks apart, nothing drawn: easy to read and to cut. On a terminal it fits: the widest
    columns are cut, and no line goes on in the next. Elsewhere it is whole."""
    for line in lines(rows, columns):
        print(line)


def width(records: Sequence[Record], columns: Sequence[str]) -> int:
    """Of their table, whole."""
    longest = [max([len(c), *(terminal.cells(plain(r.get(c))) for r in records)]) for c in columns]
    return sum(longest) + len(_BETWEEN) * (len(columns) - 1)


def lines(rows: Sequence[Sequence[str]], columns: Sequence[str] = ()) -> list[str]:
    """The same, to be printed by whoever asks."""
    heads = [column.upper().replace("_", " ") for column in columns]
    whole = [heads, *rows] if columns else list(rows)
    if not whole:
        return []
    widths = [max(terminal.cells(row[i]) for row in whole) for i in range(len(whole[0]))]
    room = terminal.width()
    if room is not None:
        widths = terminal.fitted(widths, room - len(_BETWEEN) * (len(widths) - 1))
    return [_line(row, widths, room) for row in whole]


def _line(cells: Sequence[str], widths: Sequence[int], room: int | None) -> str:
    columns = zip(cells, widths, strict=True)
    text = _BETWEEN.join(terminal.padded(terminal.cut(cell, wide), wide) for cell, wide in columns).rstrip()
    return text if room is None else terminal.cut(text, room)


def pairs(record: Record) -> None:
    """One record as `key: value` lines; lists below each other."""
    width = max(len(key) for key in record) + 1
    for key, value in record.items():
        lines = [plain(item) for item in value] if isinstance(value, list | tuple) else [plain(value)]
        for number, line in enumerate(lines or ["-"]):
            head = f"{key.replace('_', ' ')}:" if number == 0 else ""
            print(f"{head.ljust(width)} {line}".rstrip())


def safe(output: bytes) -> str:
    """What a guest printed, line by line, but nothing that moves a terminal's cursor or worse."""
    return safe_text(output.decode("utf-8", "backslashreplace"))


def safe_text(text: str) -> str:
    text = text.replace("\r\n", "\n")
    return re.sub(r"[^\n\t -~]+", lambda found: printable(found[0]), text)


def _cell(value: Any) -> str:
    """For CSV: text that a spreadsheet would compute, or that begins with an apostrophe, has one before it. A
    dash alone is our own word for nothing, and computes nothing."""
    text = plain(value)
    if isinstance(value, str | list | tuple | Mapping) and text.startswith((*_FORMULA, "'")) and text != "-":
        return f"'{text}"
    return text


def plain(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return printable(", ".join(f"{key}={item}" for key, item in value.items())) or "-"
        case list() | tuple():
            return printable(", ".join(map(str, value)))
        case _:
            return printable(str(value))
