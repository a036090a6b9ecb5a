"""delete."""

import argparse

from skinnybox.cli import options, report
from skinnybox.cli.progress import shown
from skinnybox.fleet import asked


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "delete", _delete, "delete machines and all that is theirs, snapshots too",
        "Masters are never touched; protected machines are refused.",
    )  # fmt: skip
    options.add_machines(parser)
    options.add_yes(parser)
    parser.add_argument("-f", "--force", action="store_true", help="pull the plug of those that run")


def _delete(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        machines, force = fleet.machines(arguments.names), arguments.force
        names = [machine.name for machine in machines]
        arguments.yes = arguments.yes or force
        would = asked.passing(machines, lambda machine: asked.deletable(machine, force=force))
        options.confirm_for(arguments, would, "delete {} and all that is theirs, snapshots too")
        with shown(arguments.quiet) as operation:
            results = fleet.delete(names, force=force, operation=operation)
    return report.outcomes(results, lambda _: "deleted")
