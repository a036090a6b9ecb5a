"""promote: a machine becomes a master."""

import argparse
from typing import TYPE_CHECKING

from skinnybox.cli import options, render, report
from skinnybox.cli.progress import shown
from skinnybox.fleet import present_promotion
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.service import Fleet
    from skinnybox.model.promotion import Promotion

_COLUMNS = ("reason", "what", "path", "files", "size")


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "promote", _promote, "make a stopped machine's system a new master",
        "Its master, its layers and what it made its own are sealed together, without who it is, what its "
        "seed brought, and what it left behind while it ran: that is listed first. The machine stays as it "
        "is. Its data disk is not taken along.",
    )  # fmt: skip
    options.add_machine(parser)
    parser.add_argument("master", metavar="MASTER[:VERSION]", help="the version defaults to today's date")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="PATH", type=options.guest_path,
        help="take along what would be left out at this absolute path, and below it; may repeat",
    )  # fmt: skip
    parser.add_argument(
        "--leave-out", action="append", default=[], metavar="PATH", type=options.guest_path,
        help="leave out what is the machine's own at this absolute path, and below it; may repeat",
    )  # fmt: skip
    parser.add_argument(
        "--live", action="store_true",
        help="also while it runs: of one point in time, as a power cut would leave it",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only say what would be left out")
    options.add_yes(parser)
    options.add_format(parser)


def _promote(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        found = _looked(arguments, fleet)
        if arguments.dry_run:
            _emit(arguments, found)
            return 0
        for line in (*_lines(found), *_notes(found)):
            report.note(line)
        options.confirm(arguments, f"seal {arguments.name} as {arguments.master}")
        with shown(arguments.quiet) as operation:
            master = fleet.deltas.promote(
                arguments.name, arguments.master, operation,
                keep=arguments.keep, leave_out=arguments.leave_out, live=arguments.live,
            )  # fmt: skip
    sizes = " + ".join(format_size(image.size) for image in master.images)
    report.done(f"{master.reference}: sealed, {sizes}, {master.id[:19]}")
    return 0


def _looked(arguments: argparse.Namespace, fleet: "Fleet") -> "Promotion":
    with shown(arguments.quiet) as operation:
        return fleet.deltas.would_promote(
            arguments.name, operation,
            keep=arguments.keep, leave_out=arguments.leave_out, live=arguments.live,
        )  # fmt: skip


def _emit(arguments: argparse.Namespace, found: "Promotion") -> None:
    records = [present_promotion.left_out(each) for each in found.left_out]
    if arguments.format == "table":
        records = [{**record, "size": format_size(record["size"])} for record in records]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    for line in _notes(found):
        report.note(line)


def _lines(found: "Promotion") -> list[str]:
    rows = [
        [str(record[column]) if column != "size" else format_size(record[column]) for column in _COLUMNS]
        for record in map(present_promotion.left_out, found.left_out)
    ]
    return render.lines(rows, _COLUMNS) if rows else ["nothing is left out"]


def _notes(found: "Promotion") -> list[str]:
    notes = [f"its account numbers follow {found.follows}"]
    if found.layers:
        notes.append(f"the files of its layers go there too: {', '.join(found.layers)}")
    if found.data:
        notes.append(f"what lies on its data disk is not taken along: {', '.join(found.data)}")
    if any(each.reason == "beside" for each in found.left_out):
        notes.append("what lies beside overlayfs is not taken along: see `beside`")
    if found.live:
        notes.append("it is crash-consistent: as a power cut would have left the machine")
    return notes
