"""show."""

import argparse
from typing import TYPE_CHECKING, Any

from skinnybox.cli import numbers, options, render
from skinnybox.cli.listing import COLUMNS, SIZES, seconds, size
from skinnybox.errors import Unsupported, UsageError
from skinnybox.fleet import present, trial_words

if TYPE_CHECKING:
    from skinnybox.fleet.service import Fleet
    from skinnybox.fleet.view import MachineView
    from skinnybox.model import Instance

_LAST_LINES = 8


def add_to(commands: options.Commands) -> None:
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
            render.emit(records, COLUMNS, arguments.format, headers=not arguments.no_headers)
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
    shown_values = {key: size(value) if key in SIZES else value for key, value in values.items()}
    shown_values["boot"] = seconds(values["boot"])
    shown_values["ssh_host_keys"] = values["ssh_host_keys"] or [
        "not yet: the guest makes them at its first start"
    ]
    return {key: value for key, value in shown_values.items() if value not in (None, [])}
