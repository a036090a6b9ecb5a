"""forward: ports of this host that lead into machines."""

import argparse
from functools import partial
from typing import TYPE_CHECKING

from skinnybox.cli import numbers, options, render, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.progress import shown
from skinnybox.errors import NotFound, UsageError
from skinnybox.fleet import present

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skinnybox.fleet.change import Changes
    from skinnybox.fleet.view import MachineView
    from skinnybox.model import Forward, Instance

_COLUMNS = ("name", "state", "address", "port", "guest_port")


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "forward", _forward, "lead ports of this host into a machine, or list those that do",
        "Kept with the machine: they lead into it whenever it runs, from its next start on. Only this host "
        "reaches them unless an address is given. A machine on a bridge needs none: it has an address.",
    )  # fmt: skip
    ask_for(parser.add_argument("name", metavar="NAME", nargs="?", help="one machine"), "machines")
    parser.add_argument("ports", metavar="PORTS", nargs="*", help="[ADDRESS:]PORT:GUEST_PORT, as in 8080:80")
    parser.add_argument(
        "--remove", metavar="PORT", action="append", default=[], type=numbers.count,
        help="it leads nowhere any more; may repeat",
    )  # fmt: skip
    options.add_format(parser)


def _forward(arguments: argparse.Namespace) -> int:
    from skinnybox.model.forwards import parse_forward

    with options.fleet(arguments) as fleet:
        if not arguments.ports and not arguments.remove:
            machines = fleet.machines([arguments.name] if arguments.name else ["*"])
            records = [record for machine in machines for record in present.forwards(machine)]
            render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
            return 0
        if not arguments.name:
            raise UsageError("--remove needs a machine", hint="skinnybox forward web1 --remove 8080")
        added = [parse_forward(text) for text in arguments.ports]
        machine = fleet.machine(arguments.name)
        with shown(arguments.quiet) as operation:
            results = fleet.set([machine.name], _changes(added, arguments.remove), operation)
    return report.outcomes(results, partial(_changed, machine.instance.forwards))


def _changes(added: "list[Forward]", removed: list[int]) -> "Callable[[Instance], Changes]":
    """Of what it has when it is its turn: two that add one each at the same time add two."""

    def change(instance: "Instance") -> "Changes":
        forwards = instance.forwards
        for port in removed:
            if port not in [forward.port for forward in forwards]:
                raise NotFound(
                    f"port {port} does not lead to {instance.name}", hint=f"skinnybox forward {instance.name}"
                )
        kept = [forward for forward in forwards if forward.port not in removed]
        return {"forwards": (*kept, *(forward for forward in added if forward not in kept))}

    return change


def _changed(before: "Sequence[Forward]", machine: "MachineView") -> str:
    """Of one that runs, what is new apart from what stays as it was: since when that counts nobody knows who
    has not seen its start."""
    now = machine.instance.forwards
    new, gone = _less(now, before), _less(before, now)
    kept = _less(now, new)
    if machine.status is None or machine.status.pid is None:
        return _lead(now)
    if not new and not gone:
        return f"as before, {_lead(kept)}"
    told = [f"{_lead(new)} from its next start on"] if new or not now else []
    told += [f"{', '.join(map(str, gone))} no more, from its next start on"] if gone and now else []
    return "; ".join([*told, *([f"as before, {_lead(kept)}"] if kept else [])])


def _less(forwards: "Sequence[Forward]", others: "Sequence[Forward]") -> "list[Forward]":
    return [forward for forward in forwards if forward not in others]


def _lead(forwards: "Sequence[Forward]") -> str:
    said = ", ".join(map(str, forwards)) or "no port"
    return f"{said} {'lead' if len(forwards) > 1 else 'leads'} into it"
