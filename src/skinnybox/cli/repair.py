"""repair."""

import argparse
import sys
from typing import TYPE_CHECKING, Any, TextIO

from skinnybox.cli import options, render, report
from skinnybox.fleet import present

if TYPE_CHECKING:
    from skinnybox.errors import Blocked

_COLUMNS = ("deed", "path", "what", "error")


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "repair", _repair, "rebuild the catalog of machines and explain every leftover",
        "Whatever may hold data of yours stays, or is moved aside. Machines that run are not disturbed.",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what is there and what would be done"
    )
    parser.add_argument(
        "--delete-orphans", action="store_true", help="remove overlays that no record belongs to"
    )
    parser.add_argument(
        "--forget", action="store_true", help="forget machines of which nothing is there, also most or all"
    )
    options.add_yes(parser)
    options.add_format(parser)


def _repair(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.batch import worst

    orphans, forget = arguments.delete_orphans, arguments.forget
    with options.fleet(arguments, repairing=True) as fleet:
        seen = fleet.upkeep.examine(delete_orphans=orphans, forget=forget)
        if arguments.dry_run or not seen.to_do:
            _show([present.issue(finding) for finding in seen.findings], arguments)
            return 0 if arguments.dry_run else _refused(seen.refused)
        if not arguments.yes:
            _table([present.issue(finding) for finding in seen.findings], sys.stderr)
            options.confirm(arguments, f"do this to {options.settings(arguments).state}")
        done = fleet.upkeep.repair(delete_orphans=orphans, forget=forget)
    _show([present.issue(outcome.value, outcome.error) for outcome in done if outcome.value], arguments)
    for outcome in done:
        if outcome.error:
            report.say(outcome.error, outcome.name)
    return max(worst(done), _refused(seen.refused))


def _refused(error: "Blocked | None") -> int:
    """What is left undone, once for all of it."""
    if error is None:
        return 0
    report.say(error)
    return error.exit_code


def _show(records: "list[dict[str, Any]]", arguments: argparse.Namespace) -> None:
    if arguments.format != "table":
        render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
        return
    _table(records, sys.stdout)
    if not records:
        report.done("nothing to put right")


def _table(records: "list[dict[str, Any]]", stream: TextIO) -> None:
    for record in records:
        print(f"{record['deed']:<10} {record['path']}\n{'':<10} {record['what']}", file=stream)
