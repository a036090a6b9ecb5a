"""copy, rename."""

import argparse

from skinnybox.cli import options, report
from skinnybox.cli.progress import shown


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "copy", _copy, "make further machines that have what one made its own",
        "Each gets an identity of its own: UUID, machine-id, ssh host keys, hostname. Forwarded ports are "
        "not copied. A machine that runs is copied as it is at one point in time.",
    )  # fmt: skip
    options.add_machine(parser)
    parser.add_argument("new", metavar="NEW", nargs="+", help="names, or patterns that make names")
    parser.add_argument(
        "--data", action="store_true", help="also what its data disk holds; else theirs are fresh"
    )

    parser = options.command(
        commands, "rename", _rename, "call a stopped machine otherwise",
        "Who it is stays: its UUID, its keys, its address. Its hostname follows where it was its name.",
    )  # fmt: skip
    options.add_machine(parser)
    parser.add_argument("new", metavar="NEW", help="its new name")


def _copy(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        made = fleet.deltas.copy(arguments.name, arguments.new, operation, data=arguments.data)
    for instance in made:
        report.done(f"{instance.name}: copied from {arguments.name}")
    return 0


def _rename(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        renamed = fleet.deltas.rename(arguments.name, arguments.new, operation)
    report.done(f"{arguments.name}: now {renamed.name}")
    return 0
