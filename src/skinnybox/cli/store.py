"""capacity, doctor, completion."""

import argparse
from typing import TYPE_CHECKING, Any

from skinnybox.cli import complete, numbers, options, render, terminal
from skinnybox.fleet import present, present_capacity
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skinnybox.fleet.capacity import Account

_CHECK_COLUMNS = ("check", "status", "detail", "hint")


def add_to(commands: options.Commands) -> None:
    parser = options.command(commands, "capacity", _capacity, "show what is promised, written and free")
    parser.add_argument(
        "--fit",
        metavar="SIZE",
        type=numbers.size,
        default="1G",
        help="how many more of this size (default 1G)",
    )
    parser.add_argument(
        "--machines",
        metavar="N",
        type=numbers.count,
        default=40,
        help="on a pool: what so many would take (default 40)",
    )
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
    size = arguments.fit
    with options.fleet(arguments) as fleet:
        account = fleet.capacity(size)
    record = present_capacity.capacity(account, arguments.machines)
    storages = record.get("storages", [])
    if arguments.format != "table":
        columns = tuple(key for key in record if key != "storages")
        render.emit([record], columns, arguments.format, headers=not arguments.no_headers, one=True)
        return 0
    wide = terminal.width()
    if wide is not None:
        from skinnybox.cli import pictures

        print("\n".join([*pictures.bar(pictures.shares(record), wide), ""]))
    render.pairs({key: _readable(key, record[key]) for key in _SUMS})
    if storages:
        _show_storages(storages, account, arguments)
    return 0


_COUNTS = ("machines", "fit", "fit_sparse")
_SUMS = (
    "disk", "free", "masters", "layers", "machines", "promised", "written", "allocated", "owed", "snapshots",
    "full_copies", "taken", "fit", "fit_size", "fit_sparse", "sparse_each",
)  # fmt: skip
"""For people, what belongs together stands together."""


def _readable(key: str, value: int | None) -> str | None:
    return value if value is None else str(value) if key in _COUNTS else format_size(value)


def _show_storages(
    storages: "Sequence[dict[str, Any]]", account: "Account", arguments: argparse.Namespace
) -> None:
    """What machines take once they run, and with full overlays; the same of whole copies."""
    size, system = format_size(account.fit_size), format_size(account.system)
    print(f"\n{arguments.machines} more machines, each with an overlay of {size}, and the same number of")
    print(f"VDI.clones of a system's disk of {system}; once they run/when all is written full:\n")
    rows = [
        [
            ("*" if each["chosen"] else " ") + each["storage"],
            each["type"] + (" (estimate)" if each["estimate"] else ""),
            format_size(each["free"]),
            f"{format_size(each['take'])}/{format_size(each['take_full'])}",
            f"{format_size(each['clones_take'])}/{format_size(each['clones_take_full'])}",
        ]
        for each in storages
    ]
    render.table(rows, () if arguments.no_headers else ("storage", "type", "free", "machines", "clones"))


def _doctor(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments, repairing=True) as fleet:
        checks = fleet.upkeep.doctor()
    records = [present.check(check) for check in checks]
    if arguments.format == "table":
        for check in checks:
            print(f"{check.status:<5} {check.name:<20} {check.detail}")
            if check.hint:
                print(f"{'':<26} hint: {check.hint}")
    else:
        render.emit(records, _CHECK_COLUMNS, arguments.format, headers=not arguments.no_headers)
    return int(any(check.status == "fail" for check in checks))
