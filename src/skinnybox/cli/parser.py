"""The command line as a whole: one parser, put together from the groups of commands."""

import argparse

from skinnybox import __version__
from skinnybox.cli import (
    access,
    autostart,
    delta,
    events,
    fleetfile,
    machines,
    masters,
    overlays,
    power,
    repair,
    store,
)
from skinnybox.cli.options import Commands, Help, Parser, add_common


def build_parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = Parser(
        prog="skinnybox",
        description="Thin virtual machines: one sealed master, one small overlay each.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 blocked, 6 unsupported, "
        "7 no space, 10 differs (only with --exit-code), 70 a bug, 130 cancelled; a batch ends with "
        "the worst of its items.",
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"skinnybox {__version__}")
    add_common(parser, top=True)
    commands: Commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    machinery = (machines, power, autostart, fleetfile, access, delta, overlays)
    for group in (masters, *machinery, events, repair, store):
        group.add_to(commands)
    store.add_completion(commands, parser)
    return parser
