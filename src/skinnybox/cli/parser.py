"""The command line: one parser, put together from the groups of commands that it takes."""

import argparse
from importlib import import_module

from skinnybox import __version__
from skinnybox.cli.options import Commands, Parser, add_common

_GROUPS = {
    "masters": ("master",),
    "layers": ("layer",),
    "machines": ("create",),
    "deleting": ("delete",),
    "duplicate": ("copy", "rename"),
    "move": ("move", "receive"),
    "export": ("export",),
    "archives": ("archive",),
    "promote": ("promote",),
    "listing": ("list",),
    "showing": ("show",),
    "top": ("top",),
    "logs": ("logs",),
    "power": ("start", "stop", "restart", "kill", "wait"),
    "autostart": ("autostart",),
    "fleetfile": ("plan", "apply", "set"),
    "access": ("console", "ssh", "exec"),
    "copy": ("cp",),
    "forward": ("forward",),
    "changes": ("changes",),
    "delta": ("reset", "slim"),
    "rebase": ("rebase", "rollback"),
    "overlays": ("grow", "snapshot", "flatten", "seed-disk"),
    "events": ("events",),
    "jobs": ("jobs",),
    "serve": ("serve",),
    "token": ("token",),
    "repair": ("repair",),
    "store": ("capacity", "doctor"),
}
"""Modules beside this one, each with an add_to, and the commands it adds: a command waits only for its own.
In the order of the help."""


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Of `command` and those of its group; of everything when it is no command, or one for all of them."""
    parser: argparse.ArgumentParser = Parser(
        prog="skinnybox",
        description="Thin virtual machines: one sealed master, one small overlay each.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 blocked, 6 unsupported, "
        "7 no space, 10 differs (only with --exit-code), 70 a bug, 130 cancelled; a batch ends with "
        "the worst of its items. `ls`, `rm` and `info` are `list`, `delete` and `show`; `help COMMAND` is "
        "`COMMAND --help`.",
    )
    parser.add_argument("--version", action="version", version=f"skinnybox {__version__}")
    add_common(parser, top=True)
    commands: Commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, prog="skinnybox"
    )
    groups = [name for name, its in _GROUPS.items() if command in its]
    for name in groups or _GROUPS:
        import_module(f"{__package__}.{name}").add_to(commands)
    if not groups:
        from skinnybox.cli.store import add_completion

        add_completion(commands, parser)
    return parser
