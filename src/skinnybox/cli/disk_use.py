"""show --usage: what takes the room of a machine's disk."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skinnybox.cli import render, report
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.fleet import present_use
from skinnybox.model import DiskKind
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.service import Fleet
    from skinnybox.model.diskuse import DiskUse

DEPTH, ROWS, MOST_ROWS = 3, 20, 1000
_COLUMNS = ("name", "disk", "what", "size", "count", "path")
_SAID = {
    "files": "what it made its own",
    "work": "what overlayfs works with; files that are deleted and still open",
    "thrown": "what it threw away, and is not deleted yet",
    "swap": "its swap file",
    "skinnybox": "its seed and its identity",
    "other": "what is none of these",
    "journal": "the filesystem's journal",
    "filesystem": "the filesystem's own tables; files that are deleted and still open",
}


def show(arguments: argparse.Namespace, fleet: "Fleet") -> int:
    """The exit code is that of the worst of the machines; what is known of the others is shown."""
    disk = DiskKind.DATA if arguments.data else DiskKind.OVERLAY
    depth, rows = arguments.depth or DEPTH, arguments.rows or ROWS
    if rows > MOST_ROWS:
        raise UsageError(f"--rows is from 1 to {MOST_ROWS}, not {rows}")
    with shown(arguments.quiet) as operation:
        results = fleet.overlays.use(arguments.names, disk=disk, depth=depth, rows=rows, operation=operation)
    found = [(result.name, result.value) for result in results if result.value is not None]
    if arguments.format != "table":
        records = [record for name, use in found for record in present_use.disk_use(name, disk, use)]
        render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    for number, (name, use) in enumerate(found if arguments.format == "table" else ()):
        print(*([""] if number else []), *_lines(name, disk, use), sep="\n")
    return report.outcomes([result for result in results if result.error], str) if results else 0


def _lines(name: str, disk: DiskKind, use: "DiskUse") -> Iterator[str]:
    used = use.size - use.free
    yield (
        f"{'data disk' if disk is DiskKind.DATA else 'overlay'} of {name}: {format_size(use.size)}, of which"
        f" {format_size(used)} are used ({used * 100 // use.size if use.size else 0} %) and"
        f" {format_size(use.free)} free, {format_size(use.reserved)} of them for root alone"
    )
    parts = sorted(use.parts, key=lambda part: -part[1])
    yield from render.lines([[format_size(size), part, _SAID[part]] for part, size in parts if size])
    if use.largest:
        yield ""
        rows = [
            [format_size(heavy.size), str(heavy.count), present_use.heavy_path(heavy)]
            for heavy in use.largest
        ]
        yield from render.lines(rows, ("size", "names", "path"))
    if use.idle is not None and use.idle[0]:
        count, freed = use.idle
        yield (
            f"{count} of its names are as the master has them, {format_size(freed)}:"
            f" `skinnybox slim {name}` drops them"
        )
    if use.unread:
        yield f"not looked into, as they are too deep or hold too much: {use.unread} folders"
