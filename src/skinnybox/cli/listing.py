"""list."""

import argparse
from typing import TYPE_CHECKING, Any

from skinnybox.cli import options, render, terminal
from skinnybox.cli.choose import add_columns, checked, ordered
from skinnybox.fleet import present, trial_words
from skinnybox.model import fields
from skinnybox.model.kinds import SIZE
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skinnybox.fleet.view import MachineView

COLUMNS = ("name", "state", "master", "overlay", "address", "boot", "autostart")
SIZES = {"overlay_used", "overlay_written", "swap_on", "data_used"}.union(
    field.shown for field in fields.machine_fields() if field.shown and field.kind is SIZE
)


def add_to(commands: options.Commands) -> None:
    parser = options.command(commands, "list", _list, "list machines and how they are")
    options.add_machines(parser, "*")
    options.add_format(parser)
    add_columns(parser)
    parser.add_argument("--names", dest="names_only", action="store_true", help="nothing but the names")


def _list(arguments: argparse.Namespace) -> int:
    known = present.machine_fields()
    columns = checked(arguments, known)
    with options.fleet(arguments) as fleet:
        machines: Sequence[MachineView] = fleet.machines(arguments.names or ["*"])
        people = arguments.format == "table"
        room = terminal.width() if people else None
        plain_list = people and room is None and not columns and not arguments.sort
        successors = {} if arguments.names_only or plain_list else fleet.masters.successors()

    def whole(machine: "MachineView") -> dict[str, Any]:
        return present.machine(machine, successors)

    machines = ordered(arguments, machines, whole)
    if arguments.names_only:
        print("\n".join(machine.name for machine in machines))
        return 0
    records = [_for_people(m, columns, whole) if people else whole(m) for m in machines]
    if columns and not people:
        records = [{column: record[column] for column in columns} for record in records]
    if room is not None:
        _mark(machines, records, successors, room - render.width(records, columns or COLUMNS))
        _draw(machines, records, room - render.width(records, columns or COLUMNS))
    render.emit(records, columns or COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _for_people(
    machine: "MachineView", columns: "Sequence[str]", record: "Callable[[MachineView], dict[str, Any]]"
) -> dict[str, Any]:
    """What is not in the brief form is worked out only when it is asked for: of some it takes time."""
    if set(columns) <= set(COLUMNS):
        return _brief(machine)
    whole = record(machine)
    shown = {key: size(value) if key in SIZES else value for key, value in whole.items()}
    return {**shown, "trial": trial_words.told(machine.instance), **_brief(machine)}


def _brief(machine: "MachineView") -> dict[str, Any]:
    return {
        "name": machine.name,
        "state": machine.told,
        "master": machine.instance.stack.reference,
        "overlay": _overlay(machine),
        "address": machine.address,
        "boot": seconds(machine.boot_seconds),
        "autostart": machine.instance.autostart or None,
    }


def _mark(
    machines: "Sequence[MachineView]",
    records: "Sequence[dict[str, Any]]",
    successors: "Mapping[str, str]",
    room: int,
) -> None:
    """Whose master has a newer one of its name: where that costs no other column anything, and only for
    people, since whoever cuts the table wants a reference."""
    mark = "\N{UPWARDS ARROW}" if terminal.knows_unicode() else "^"
    for machine, record in zip(machines, records, strict=True):
        if room > 0 and machine.instance.stack.master in successors:
            record["master"] += mark


def _draw(machines: "Sequence[MachineView]", records: "Sequence[dict[str, Any]]", room: int) -> None:
    """How full each overlay is, where that costs no other column anything."""
    from skinnybox.cli import pictures

    wide = min(room - pictures.AROUND, pictures.FILL)
    if wide < pictures.LEAST:
        return
    for machine, record in zip(machines, records, strict=True):
        used = present.used(machine)
        if used is not None:
            drawn = pictures.fill(used, machine.instance.overlay.size, wide)
            record["overlay"] = f"{drawn} {record['overlay']}"


def _overlay(machine: "MachineView") -> str:
    """Of one that is off nobody knows how full it is."""
    return f"{size(present.used(machine))}/{format_size(machine.instance.overlay.size)}"


def size(number: int | None) -> str:
    return "-" if number is None else format_size(number)


def seconds(number: float | None) -> str | None:
    return None if number is None else f"{number:.1f} s"
