"""start, stop, restart, kill, wait."""

import argparse

from skinnybox.cli import numbers, options, report
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.fleet.patience import MOST
from skinnybox.fleet.power import READY_TIMEOUT, STOP_TIMEOUT, Stopping
from skinnybox.fleet.view import MachineView


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "start", _start, "power machines on and wait until they are ready",
        "Only so many come up at once as the machine bears; each next one starts when one is ready.",
    )  # fmt: skip
    options.add_machines(parser, "*")
    parser.add_argument(
        "--autostart", action="store_true", help="those marked so; without names, all of them"
    )
    _add_starting(parser)

    parser = options.command(commands, "stop", _stop, "ask machines to power off and wait until they have")
    options.add_machines(parser)
    _add_stopping(parser)

    parser = options.command(commands, "restart", _restart, "stop machines, then start them")
    options.add_machines(parser)
    _add_stopping(parser, flag="--stop-timeout")
    _add_starting(parser)

    parser = options.command(
        commands, "kill", _kill, "pull the plug of machines", "What the guest had not written is lost."
    )
    options.add_machines(parser)

    parser = options.command(commands, "wait", _wait, "wait until machines are ready")
    options.add_machines(parser)
    options.add_timeout(parser, READY_TIMEOUT, "how long each may take")


def _add_starting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="return when they run, ready or not")
    options.add_timeout(parser, READY_TIMEOUT, "how long each may take until it is ready")
    options.add_parallel(parser)


def _add_stopping(parser: argparse.ArgumentParser, flag: str = "--timeout") -> None:
    parser.add_argument(
        flag, metavar="SECONDS", type=numbers.seconds, dest="stop_timeout",
        help=f"how long each guest may take (default {STOP_TIMEOUT:g}, and up to {MOST} times as long while "
        "it is seen to work)",
    )  # fmt: skip
    parser.add_argument("--kill", action="store_true", help="pull the plug when that time is over")


def _start(arguments: argparse.Namespace) -> int:
    if not (arguments.names or arguments.autostart):
        raise UsageError("start needs the names of machines, or --autostart")
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        names = arguments.names
        if arguments.autostart:
            names = fleet.marked(names or ["*"])
            if not names:
                report.note("no machine is marked: `skinnybox autostart on NAME` marks one")
                return 0
        results = fleet.start(
            names,
            wait=not arguments.no_wait,
            timeout=arguments.timeout,
            parallel=arguments.parallel,
            operation=operation,
        )
    return report.outcomes(results, _state)


def _stop(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.stop(arguments.names, _stopping(arguments), operation)
    return report.outcomes(results, _state)


def _restart(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.restart(
            arguments.names,
            _stopping(arguments),
            wait=not arguments.no_wait,
            timeout=arguments.timeout,
            parallel=arguments.parallel,
            operation=operation,
        )
    return report.outcomes(results, _state)


def _kill(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.kill(arguments.names, operation)
    return report.outcomes(results, _state)


def _wait(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.wait(arguments.names, timeout=arguments.timeout, operation=operation)
    return report.outcomes(results, _state)


def _stopping(arguments: argparse.Namespace) -> Stopping:
    return Stopping(timeout=arguments.stop_timeout, then_kill=arguments.kill)


def _state(machine: MachineView) -> str:
    seconds = machine.boot_seconds
    if seconds is None:
        return machine.told
    return machine.told.replace("ready", f"ready after {seconds:.1f} s", 1)
