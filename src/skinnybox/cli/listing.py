"""list, show."""

import argparse
from typing import TYPE_CHECKING, Any

from skinnybox.cli import numbers, options, render, terminal
from skinnybox.cli.choose import add_columns, checked, ordered
from skinnybox.errors import Unsupported, UsageError
from skinnybox.fleet import present, trial_words
from skinnybox.model import fields
from skinnybox.model.kinds import SIZE
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skinnybox.fleet.service import Fleet
    from skinnybox.fleet.view import MachineView
    from skinnybox.model import Instance

_COLUMNS = ("name", "state", "master", "overlay", "address", "boot", "autostart")
_SIZES = {"overlay_used", "overlay_written", "swap_on", "data_used"}.union(
    field.shown for field in fields.machine_fields() if field.shown and field.kind is SIZE
)
_LAST_LINES = 8


def add_to(commands: options.Commands) -> None:
    parser = options.command(commands, "list", _list, "list machines and how they are")
    options.add_machines(parser, "*")
    options.add_format(parser)
    add_columns(parser)
    parser.add_argument("--names", dest="names_only", action="store_true", help="nothing but the names")

    parser = options.command(commands, "show", _show, "show all that is known of machines")
    options.add_machines(parser)
    options.add_format(parser)
    parser.add_argument(
        "--usage", action="store_true",
        help="what takes the room of their overlays, read from outside; of a running machine from a copy, "
        "which needs its room meanwhile",
    )  # fmt: skip
    parser.add_argument("--data", action="store_true", help="with --usage: of their data disks")
    parser.add_argument(
        "--depth", metavar="N", type=numbers.count, default=None,
        help="with --usage: folders that are deeper are only in the totals (default 3)",
    )  # fmt: skip
    parser.add_argument(
        "--rows", metavar="N", type=numbers.count, default=None,
        help="with --usage: so many files and folders, the largest (default 20, at most 1000)",
    )  # fmt: skip


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
        _mark(machines, records, successors, room - render.width(records, columns or _COLUMNS))
        _draw(machines, records, room - render.width(records, columns or _COLUMNS))
    render.emit(records, columns or _COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _for_people(
    machine: "MachineView", columns: "Sequence[str]", record: "Callable[[MachineView], dict[str, Any]]"
) -> dict[str, Any]:
    """What is not in the brief form is worked out only when it is asked for: of some it takes time."""
    if set(columns) <= set(_COLUMNS):
        return _brief(machine)
    whole = record(machine)
    shown = {key: _size(value) if key in _SIZES else value for key, value in whole.items()}
    return {**shown, "trial": trial_words.told(machine.instance), **_brief(machine)}


def _brief(machine: "MachineView") -> dict[str, Any]:
    return {
        "name": machine.name,
        "state": machine.told,
        "master": machine.instance.stack.reference,
        "overlay": _overlay(machine),
        "address": machine.address,
        "boot": _seconds(machine.boot_seconds),
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
    used, size = present.used(machine), machine.instance.overlay.size
    return f"{_size(used)}/{format_size(size)}"


def _size(size: int | None) -> str:
    return "-" if size is None else format_size(size)


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f} s"


def _show(arguments: argparse.Namespace) -> int:
    _refuse_without_usage(arguments)
    with options.fleet(arguments) as fleet:
        if arguments.usage:
            from skinnybox.cli import disk_use

            return disk_use.show(arguments, fleet)
        machines = fleet.machines(arguments.names)
        successors = fleet.masters.successors()
        if arguments.format != "table":
            records = [present.machine(machine, successors) for machine in machines]
            render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
            return 0
        for number, machine in enumerate(machines):
            if number:
                print()
            values = {**present.machine(machine, successors), **_written(machine)}
            render.pairs({**_readable(values), **_last_words(fleet, machine)})
    return 0


def _refuse_without_usage(arguments: argparse.Namespace) -> None:
    given = [f"--{name}" for name in ("data", "depth", "rows") if getattr(arguments, name)]
    if given and not arguments.usage:
        raise UsageError(f"{given[0]} goes with --usage", hint="skinnybox show --usage NAME")


def _written(machine: "MachineView") -> dict[str, Any]:
    """As it would be said to `create`."""
    instance = machine.instance
    written = {"swap": instance.swap, "throw_away": instance.throw_away, "encrypt": instance.encrypt}
    return {**written, "trial": _trial(instance)}


def _trial(instance: "Instance") -> str | None:
    """How far its rebase is, and what leads back."""
    trial, told = instance.trial, trial_words.told(instance)
    if trial is None or told is None:
        return None
    return f"{told}: {trial.before.reference} before, in the snapshot {trial.kept}"


def _last_words(fleet: "Fleet", machine: "MachineView") -> dict[str, Any]:
    """What a machine that went wrong printed last; a guest may print anything, so nothing but text of it."""
    from skinnybox.fleet.view import Condition

    if machine.condition not in (Condition.CRASHED, Condition.FAILED):
        return {}
    try:
        said = fleet.console_log(machine.name)
    except Unsupported:
        return {}
    lines = said[-4096:].decode("utf-8", "replace").splitlines()
    shown_lines = ["".join(c for c in line if c.isprintable()).strip() for line in lines]
    return {"console": [line for line in shown_lines if line][-_LAST_LINES:]}


def _readable(values: dict[str, Any]) -> dict[str, Any]:
    shown_values = {key: _size(value) if key in _SIZES else value for key, value in values.items()}
    shown_values["boot"] = _seconds(values["boot"])
    shown_values["ssh_host_keys"] = values["ssh_host_keys"] or [
        "not yet: the guest makes them at its first start"
    ]
    return {key: value for key, value in shown_values.items() if value not in (None, [])}
