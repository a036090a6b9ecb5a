"""reset of single paths, and slim: what of a machine's own goes, and what that gives."""

import argparse
from typing import TYPE_CHECKING

from skinnybox.cli import options, render, report
from skinnybox.cli.progress import shown
from skinnybox.fleet import asked, present, present_use
from skinnybox.fleet.deltas import wanted_of
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.dropping import Would
    from skinnybox.fleet.service import Fleet
    from skinnybox.model.drop import Dropped, Wanted

_COLUMNS = ("name", "type", "size", "path")


def reset(arguments: argparse.Namespace, names: list[str], paths: list[str]) -> int:
    wanted = wanted_of(paths, arguments.package)
    with options.fleet(arguments) as fleet:
        machines = fleet.machines(names)
        found = [machine.name for machine in machines]
        if arguments.dry_run:
            return _look(arguments, fleet, found, wanted)
        what = ", ".join([*paths, *(f"the files of {package}" for package in arguments.package)])
        would = asked.passing(machines, asked.resettable)
        options.confirm_for(arguments, would, f"throw away what {{}} made their own at {what}")
        with shown(arguments.quiet) as operation:
            results = fleet.deltas.give_back(found, paths, arguments.package, operation)
    return report.outcomes(results, _told)


def slim(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        found = [machine.name for machine in fleet.machines(arguments.names)]
        if arguments.dry_run:
            return _look(arguments, fleet, found, wanted_of())
        with shown(arguments.quiet) as operation:
            results = fleet.deltas.slim(found, operation)
    return report.outcomes(results, _told)


def _told(done: "Dropped") -> str:
    for note in done.notes:
        report.note(note)
    if not done.count:
        return "nothing to drop"
    return f"{_counted(done)} dropped, {format_size(done.freed)} free again"


def _counted(done: "Dropped") -> str:
    return "1 name" if done.count == 1 else f"{done.count} names"


def _look(arguments: argparse.Namespace, fleet: "Fleet", names: list[str], wanted: "Wanted") -> int:
    with shown(arguments.quiet) as operation:
        results = fleet.deltas.would_drop(names, wanted, operation)
    found = [(result.name, result.value) for result in results if result.value is not None]
    records = [{"name": name, **present_use.gone(gone)} for name, would in found for gone in would.gone]
    table = arguments.format == "table"
    render.emit(
        _for_people(records) if table else records,
        _COLUMNS,
        arguments.format,
        headers=not arguments.no_headers,
    )
    for name, would in found:
        _summed(name, would)
    return report.outcomes([result for result in results if result.error], str) if results else 0


def _summed(name: str, would: "Would") -> None:
    for note in would.done.notes:
        report.note(f"{name}: {note}")
    more = would.done.count - len(would.gone)
    rest = f"; {more} of them are not shown" if more else ""
    report.note(f"{name}: {_counted(would.done)}, {format_size(would.done.freed)}{rest}")


def _for_people(records: list[present.Record]) -> list[present.Record]:
    return [{**record, "size": format_size(record["size"])} for record in records]
