"""repair."""

import argparse
from typing import TYPE_CHECKING, Any

from skinnybox.cli import options, render, report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skinnybox.findings import Finding

_COLUMNS = ("deed", "path", "what")


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "repair", _repair, "rebuild the fleet's memory and explain every leftover",
        "Whatever may hold data of yours stays, or is moved aside. Machines that run are not disturbed.",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what is there and what would be done"
    )
    parser.add_argument(
        "--delete-orphans", action="store_true", help="remove overlays that no record belongs to"
    )
    options.add_yes(parser)
    options.add_format(parser)


def _repair(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet import repair
    from skinnybox.fleet.batch import worst
    from skinnybox.fleet.registry import open_host

    settings = options.settings(arguments)
    host = open_host(settings.host, settings.state)
    try:
        seen = repair.look(settings.state, host, delete_orphans=arguments.delete_orphans)
        _show(seen.findings, arguments)
        if arguments.dry_run or not seen.to_do:
            return 0
        options.confirm(arguments, f"do this to {settings.state}")
        done = repair.mend(settings.state, host, delete_orphans=arguments.delete_orphans)
    finally:
        host.close()
    for outcome in done:
        if outcome.error:
            report.say(outcome.error, outcome.name)
    return worst(done)


def _show(findings: "Iterable[Finding]", arguments: argparse.Namespace) -> None:
    records: list[dict[str, Any]] = [
        {"deed": finding.deed.value, "path": str(finding.path), "what": finding.what} for finding in findings
    ]
    if arguments.format != "table":
        render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
        return
    for record in records:
        print(f"{record['deed']:<10} {record['path']}\n{'':<10} {record['what']}")
    if not records:
        print("nothing to put right")
