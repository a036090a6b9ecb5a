"""capacity, doctor, completion."""

import argparse
from typing import Any

from skinnybox.cli import complete, options, render
from skinnybox.sizes import format_size, parse_size

_CHECK_COLUMNS = ("check", "status", "detail", "hint")


def add_to(commands: options.Commands) -> None:
    parser = options.command(commands, "capacity", _capacity, "show what is promised, written and free")
    parser.add_argument("--fit", metavar="SIZE", default="1G", help="how many more of this size (default 1G)")
    options.add_format(parser)

    parser = options.command(
        commands, "doctor", _doctor, "check this machine and say what is missing",
        "Exits with 1 when something is needed that is not there.",
    )  # fmt: skip
    options.add_format(parser)


def add_completion(commands: options.Commands, whole: argparse.ArgumentParser) -> None:
    def run(arguments: argparse.Namespace) -> int:
        print(complete.script(whole, arguments.shell))
        return 0

    parser = options.command(
        commands, "completion", run, "print the completion script of a shell",
        'For bash: eval "$(skinnybox completion bash)".',
    )  # fmt: skip
    parser.add_argument("shell", choices=complete.SHELLS)


def _capacity(arguments: argparse.Namespace) -> int:
    size = parse_size(arguments.fit)
    with options.fleet(arguments) as fleet:
        account = fleet.capacity(size)
    values: dict[str, Any] = {
        "disk": account.space.total,
        "free": account.space.free,
        "masters": account.space.masters,
        "machines": account.space.instances,
        "promised": account.space.promised,
        "written": account.space.written,
        "snapshots": account.space.snapshots,
        "full_copies": account.full_copies,
        "taken": account.taken,
        "fit": account.fit,
        "fit_size": account.fit_size,
    }
    if arguments.format != "table":
        render.emit([values], tuple(values), arguments.format, headers=not arguments.no_headers, one=True)
        return 0
    counts = ("machines", "fit")
    render.pairs({key: value if key in counts else format_size(value) for key, value in values.items()})
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        checks = fleet.doctor()
    records = [
        {"check": check.name, "status": check.status, "detail": check.detail, "hint": check.hint}
        for check in checks
    ]
    if arguments.format == "table":
        for check in checks:
            print(f"{check.status:<5} {check.name:<20} {check.detail}")
            if check.hint:
                print(f"{'':<26} hint: {check.hint}")
    else:
        render.emit(records, _CHECK_COLUMNS, arguments.format, headers=not arguments.no_headers)
    return int(any(check.status == "fail" for check in checks))
