"""promote: a machine becomes a master."""

import argparse
from typing import TYPE_CHECKING

from skinnybox.cli import options, render, report
from skinnybox.cli.layer_build import sealed
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.fleet import present_promotion
from skinnybox.model import parse_reference
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
        "--as-layer", action="store_true",
        help="a layer for its master instead, of that name: of what is its own alone",
    )  # fmt: skip
    parser.add_argument(
        "--path", dest="paths", action="append", default=[], metavar="PATH", type=options.guest_path,
        help="with --as-layer: only what is its own at this absolute path, and below it; may repeat",
    )  # fmt: skip
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
    if arguments.paths and not arguments.as_layer:
        raise UsageError("--path chooses what goes into a layer", hint="--as-layer; or --leave-out PATH")
    parse_reference(arguments.master, "a layer" if arguments.as_layer else "a master")
    with options.fleet(arguments) as fleet:
        found = _looked(arguments, fleet)
        if arguments.dry_run:
            _emit(arguments, found)
            return 0
        for line in (*_lines(found), *_notes(arguments, found)):
            report.note(line)
        options.confirm(arguments, f"seal {arguments.name} as {arguments.master}")
        line = _made(arguments, fleet)
    report.done(line)
    return 0


def _made(arguments: argparse.Namespace, fleet: "Fleet") -> str:
    asked = {"keep": arguments.keep, "leave_out": arguments.leave_out, "live": arguments.live}
    with shown(arguments.quiet) as operation:
        if arguments.as_layer:
            made = fleet.deltas.promote_layer(
                arguments.name, arguments.master, operation, paths=arguments.paths, **asked
            )
            return sealed(made)
        master = fleet.deltas.promote(arguments.name, arguments.master, operation, **asked)
    sizes = " + ".join(format_size(image.size) for image in master.images)
    return f"{master.reference}: sealed, {sizes}, {master.id[:19]}"


def _looked(arguments: argparse.Namespace, fleet: "Fleet") -> "Promotion":
    with shown(arguments.quiet) as operation:
        found = fleet.deltas.would_promote(
            arguments.name, operation, as_layer=arguments.as_layer, paths=arguments.paths,
            keep=arguments.keep, leave_out=arguments.leave_out, live=arguments.live,
        )  # fmt: skip
        operation.check("promote")  # of a Ctrl-C that came meanwhile what follows knows nothing
        return found


def _emit(arguments: argparse.Namespace, found: "Promotion") -> None:
    records = [present_promotion.left_out(each) for each in found.left_out]
    if arguments.format == "table":
        records = [{**record, "size": format_size(record["size"])} for record in records]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    for line in _notes(arguments, found):
        report.note(line)


def _lines(found: "Promotion") -> list[str]:
    rows = [
        [str(record[column]) if column != "size" else format_size(record[column]) for column in _COLUMNS]
        for record in map(present_promotion.left_out, found.left_out)
    ]
    return render.lines(rows, _COLUMNS) if rows else ["nothing is left out"]


def _notes(arguments: argparse.Namespace, found: "Promotion") -> list[str]:
    notes = _of_layer(found) if arguments.as_layer else [f"its account numbers follow {found.follows}"]
    if found.layers:
        notes.append(f"the files of its layers go there too: {', '.join(found.layers)}")
    if found.data:
        notes.append(f"what lies on its data disk is not taken along: {', '.join(found.data)}")
    if any(each.reason == "beside" for each in found.left_out):
        notes.append("what lies beside overlayfs is not taken along: see `beside`")
    if found.live:
        notes.append("it is crash-consistent: as a power cut would have left the machine")
    return notes


def _of_layer(found: "Promotion") -> list[str]:
    reasons = {each.reason for each in found.left_out}
    notes = [f"it lies above every version of {found.follows.partition(':')[0]}"]
    if "packages" in reasons:
        notes.append("no layer says which packages are installed, though their files go there")
    if "deletion" in reasons:
        notes.append("a layer only adds: what was deleted is seen again under it")
    if "folder" in reasons:
        notes.append("folders of the master stay as it has them, with their owner and mode")
    return notes
