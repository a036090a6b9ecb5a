"""master show, diff."""

import argparse
import re
from typing import TYPE_CHECKING, Any

from skinnybox.cli import options, render, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.fleetfile import DIFFERS
from skinnybox.cli.progress import shown
from skinnybox.errors import SkinnyboxError, Unsupported
from skinnybox.fleet import present, present_systems
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.service import Fleet

_PACKAGES = ("package", "version", "architecture", "status")
_DIFFERENCES = ("change", "what", "name", "before", "after", "files")


def add_to(nouns: options.Commands) -> None:
    parser = options.command(nouns, "show", _show, "show all that is known of a master")
    _add_master(parser, "master", "MASTER", "NAME, NAME:VERSION or an id")
    parser.add_argument("--packages", action="store_true", help="only its packages, with their versions")
    options.add_format(parser)

    parser = options.command(
        nouns, "diff", _diff, "tell what one master has otherwise than another",
        "Packages, accounts, units that start, alternatives, diversions, the release, and how many files of "
        "each package, and of none, differ.",
    )  # fmt: skip
    _add_master(parser, "one", "MASTER", "the earlier one: NAME, NAME:VERSION or an id")
    _add_master(parser, "other", "OTHER", "the later one")
    options.add_format(parser)
    parser.add_argument("--files", action="store_true", help="list the files, too, not only their number")
    parser.add_argument("--exit-code", action="store_true", help=f"exit with {DIFFERS} when they differ")


def _add_master(parser: argparse.ArgumentParser, name: str, metavar: str, what: str) -> None:
    ask_for(parser.add_argument(name, metavar=metavar, help=what), "masters")


def _show(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        if arguments.packages:
            return _show_packages(arguments, fleet)
        master = fleet.masters.find(arguments.master)
        record = present.master(fleet.masters, master)
        consists = _consists_of(fleet, master.id.removeprefix("sha256:"))
        heavy = fleet.masters.heavy(master) if arguments.format == "table" else []
    if arguments.format != "table":
        render.emit([{**record, **consists}], ("master", "id", "os", "image", "tree", "machines", "created"),
                    arguments.format, headers=not arguments.no_headers, one=True)  # fmt: skip
        return 0
    render.pairs({**_readable(record), **_in_short(consists)})
    for line in heavy:
        report.note(line)
    return 0


def _consists_of(fleet: "Fleet", reference: str) -> present.Record:
    """Only why that is unknown, where it is: what else is known of a master is still worth showing."""
    try:
        return present_systems.system(fleet.masters.system(reference))
    except SkinnyboxError as error:
        return {"packages": None, "trouble": [error.message]}


def _show_packages(arguments: argparse.Namespace, fleet: "Fleet") -> int:
    found = present_systems.packages(fleet.masters.system(arguments.master))
    if found is None:
        raise Unsupported(
            f"the packages of {arguments.master} are unknown", hint="those of dpkg and apk are read here"
        )
    render.emit(found, _PACKAGES, arguments.format, headers=not arguments.no_headers)
    return 0


def _readable(record: dict[str, Any]) -> dict[str, Any]:
    """The first image's fields stand in the list of all images too."""
    images = [f"{i['file']}  {format_size(i['size'])}  {i['uuid']}  {i['digest']}" for i in record["images"]]
    shown_values = {key: value for key, value in record.items() if not re.fullmatch("image(_.*)?", key)}
    return {**shown_values, "tree": format_size(record["tree"]), "images": images}


def _in_short(consists: present.Record) -> dict[str, Any]:
    packages, trouble = consists["packages"], consists["trouble"]
    if packages is None:
        told = f"unknown: {trouble[0]}" if trouble and "manager" not in consists else "unknown"
    else:
        told = f"{len(packages)}, by {consists['manager']} (--packages lists them)"
    units = {"units": len(consists["units"])} if "units" in consists else {}
    return {"packages": told, **units, **({"trouble": trouble} if trouble else {})}


def _diff(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        found = fleet.masters.differences(
            arguments.one, arguments.other, paths=arguments.files, operation=operation
        )
    records = [present_systems.difference(difference) for difference in found]
    people = arguments.format in ("table", "csv")
    columns = (*_DIFFERENCES, "package") if arguments.files else _DIFFERENCES
    shown_records = [_for_people(record) for record in records] if people else records
    if records or arguments.format != "table":
        render.emit(shown_records, columns, arguments.format, headers=not arguments.no_headers)
    else:
        report.note("they are the same")
    return DIFFERS if records and arguments.exit_code else 0


def _for_people(record: present.Record) -> present.Record:
    tally = record["files"] or {}
    told = ", ".join(f"{count} {change}" for change, count in tally.items() if count)
    name = record["name"] or "(no package)"
    return {**record, "name": name, "files": told or None}
