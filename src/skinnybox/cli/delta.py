"""reset, slim."""

import argparse

from skinnybox.cli import options, report
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.fleet import asked
from skinnybox.model import Instance


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "reset", _reset, "throw away what stopped machines made their own",
        "Name, addresses and ssh host keys stay. With absolute paths behind the names, or --package, only "
        "what they have there is thrown away, with all that is below, and the master's is seen again; what "
        "tells of the whole machine, as its accounts do, goes only when it is named itself.",
    )  # fmt: skip
    _add_paths(parser)
    options.add_yes(parser)

    parser = options.command(
        commands, "slim", _slim, "drop what stopped machines have and their master has as well",
        "Files that were copied into the overlay and are as the master has them, empty folders, deletions of "
        "what is not there. What the machine sees is the same afterwards.",
    )  # fmt: skip
    options.add_machines(parser)
    _add_dry_run(parser)


def _add_paths(parser: argparse.ArgumentParser) -> None:
    options.add_machines(parser, beside="; and absolute paths in them, as /etc/apache2")
    parser.add_argument(
        "--package", metavar="NAME", action="append", default=[],
        help="the files of this package of the master, which the machine has not changed itself; may repeat",
    )  # fmt: skip
    _add_dry_run(parser)


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    options.add_format(parser)


def _slim(arguments: argparse.Namespace) -> int:
    from skinnybox.cli import drop

    return drop.slim(arguments)


def _reset(arguments: argparse.Namespace) -> int:
    paths = [word for word in arguments.names if word.startswith("/")]
    patterns = [word for word in arguments.names if not word.startswith("/")]
    if not patterns:
        raise UsageError("which machine?", hint="skinnybox reset NAME /etc/apache2")
    if paths or arguments.package:
        from skinnybox.cli import drop

        return drop.reset(arguments, patterns, paths)
    if arguments.dry_run:
        raise UsageError("all of it would go", hint="`skinnybox changes NAME` lists it")
    with options.fleet(arguments) as fleet:
        machines = fleet.machines(patterns)
        names = [machine.name for machine in machines]
        would = asked.passing(machines, asked.resettable)
        options.confirm_for(arguments, would, "throw away what {} made their own")
        with shown(arguments.quiet) as operation:
            results = fleet.overlays.reset(names, operation)
    return report.outcomes(results, _done)


def _done(instance: Instance) -> str:
    return f"reset, generation {instance.seed.generation}"
