"""capacity, doctor, completion."""

import argparse
from contextlib import closing
from typing import TYPE_CHECKING, Any

from skinnybox.cli import complete, options, render
from skinnybox.sizes import format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skinnybox.fleet.capacity import Account, Storage

_CHECK_COLUMNS = ("check", "status", "detail", "hint")


def add_to(commands: options.Commands) -> None:
    parser = options.command(commands, "capacity", _capacity, "show what is promised, written and free")
    parser.add_argument("--fit", metavar="SIZE", default="1G", help="how many more of this size (default 1G)")
    parser.add_argument(
        "--machines",
        metavar="N",
        type=int,
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
    storages = [_storage(each, arguments.machines) for each in account.storages]
    if arguments.format != "table":
        if storages:
            values |= {"system": account.system, "storages": storages}
        columns = tuple(key for key in values if key != "storages")
        render.emit([values], columns, arguments.format, headers=not arguments.no_headers, one=True)
        return 0
    counts = ("machines", "fit")
    render.pairs({key: value if key in counts else format_size(value) for key, value in values.items()})
    if storages:
        _show_storages(storages, account, arguments)
    return 0


def _storage(storage: "Storage", count: int) -> dict[str, Any]:
    """Bytes: of one more machine, and of `machines` of them."""
    return {
        "storage": storage.name,
        "type": storage.kind,
        "chosen": storage.chosen,
        "estimate": storage.guess,
        "total": storage.total,
        "free": storage.free,
        "machines": count,
        "each": storage.each,
        "each_full": storage.full,
        "take": count * storage.each,
        "take_full": count * storage.full,
        "clone": storage.clone,
        "clone_full": storage.clone_full,
        "clones_take": count * storage.clone,
        "clones_take_full": count * storage.clone_full,
    }


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
    from skinnybox.fleet.doctor import examine
    from skinnybox.fleet.registry import open_host, preferences

    settings = options.settings(arguments)
    with closing(open_host(settings.host, settings.state, preferences(settings))) as host:
        checks = examine(settings.state, host)
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
