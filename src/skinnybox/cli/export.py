"""export."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.cli import options, render, report
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.fleet import present
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.exporting import Exported

_OUT = 1
_COLUMNS = ("name", "id", "size", "members", "consistent", "digest")


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "export", _export, "write what a machine made its own into one file: a backup",
        "An ordinary tar, packed with zstd, from which `create --from` makes the machine again. A machine "
        "that runs is taken as it is at one point in time, as a power cut would leave it. The file holds all "
        "its secrets.",
    )  # fmt: skip
    options.add_machine(parser)
    parser.add_argument(
        "file", metavar="FILE", type=options.path, help="must not exist yet; - for standard output"
    )
    parser.add_argument("--data", action="store_true", help="also what its data disk holds")
    parser.add_argument(
        "--since", metavar="EARLIER", type=options.path,
        help="only what has changed since this export of it, which may be such a one itself",
    )  # fmt: skip
    options.add_format(parser)


def _export(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.exporting import Export

    streamed = str(arguments.file) == "-"
    if streamed:
        _refuse_streaming(arguments)
    wanted = Export(
        file=None if streamed else arguments.file.absolute(),
        output=_OUT,
        data=arguments.data,
        since=None if arguments.since is None else Path(arguments.since).absolute(),
    )
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        made = fleet.deltas.export(arguments.name, wanted, operation)
    if streamed:
        report.note(f"{arguments.name}: exported{_told(made)}")
    elif arguments.format == "table":
        report.done(f"{arguments.name}: exported to {arguments.file}{_told(made)}")
    else:
        records = [present.exported(arguments.name, made)]
        render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers, one=True)
    return 0


def _refuse_streaming(arguments: argparse.Namespace) -> None:
    if arguments.format != "table":
        raise UsageError("the archive itself goes to standard output", hint="without --format")
    if sys.stdout.isatty():
        raise UsageError("an archive is nothing for a terminal", hint=f"export {arguments.name} - >FILE")


def _told(made: "Exported") -> str:
    size = "" if made.size is None else f", {format_size(made.size)}"
    how = ", as after a power cut" if made.consistency == "crash" else ""
    return f"{size}, {made.members} members{how}"
