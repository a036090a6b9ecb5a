"""events."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from skinnybox.cli import options, render
from skinnybox.errors import UsageError
from skinnybox.fleet import present

if TYPE_CHECKING:
    pass

_COLUMNS = ("time", "machine", "event", "detail")


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "events", _events, "list what happened to machines",
        "Starts, ends, ready, failed and refused reports, and overlays that fill. About 10,000 are kept.",
    )  # fmt: skip
    options.add_machines(parser, "*")
    options.add_format(parser)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what happens from now on; json: one a line"
    )


def _events(arguments: argparse.Namespace) -> int:
    if arguments.follow:
        return _follow(arguments)
    with options.fleet(arguments) as fleet:
        records = [present.event(event) for event in fleet.events(arguments.names)]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _follow(arguments: argparse.Namespace) -> int:
    if arguments.format not in ("table", "json"):
        raise UsageError(f"--follow cannot write {arguments.format}", hint="--format table or json")
    with options.fleet(arguments) as fleet:
        for event in fleet.follow_events(arguments.names):
            values = present.event(event)
            if arguments.format == "json":
                print(json.dumps(values))
            else:
                render.table([[str(values[column]) for column in _COLUMNS]])
            sys.stdout.flush()
    return 0
