"""cp: files between here and a machine."""

import argparse
import os
from pathlib import Path

from skinnybox.cli import execute, options
from skinnybox.cli.progress import shown
from skinnybox.errors import NotFound, UsageError


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "cp", _copy, "copy files into a running machine, or out of any",
        "NAME:PATH is in a machine, everything else here; ./a:b is a file here with a colon in its name. A "
        "file that has the name of a copy is replaced, a folder never; each has its name only when it is "
        "whole. Out of a machine come files, folders and the links that stay within them, with their "
        "permissions, but never as another user's; what is left out is said. Of one that is off they are "
        "read from its disks and its master, by absolute paths.",
    )  # fmt: skip
    parser.add_argument("sources", metavar="SOURCE", nargs="+", type=_text, help="PATH or NAME:PATH")
    parser.add_argument(
        "target", metavar="TARGET", type=_text, help="the same; several sources go into a folder"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="folders with all that is in them")
    execute.add_login(parser)


def _copy(arguments: argparse.Namespace) -> int:
    sources = [_place(text) for text in arguments.sources]
    name, target = _place(arguments.target)
    machines = {machine for machine, _ in sources}
    if (name is None) == (machines != {None}) and len(machines) == 1:
        machine = next(iter(machines)) if name is None else name
    else:
        raise UsageError(
            "one side of a copy is a machine, the other is here", hint="skinnybox cp notes.txt web1:/root/"
        )
    how = {"recursive": arguments.recursive, "login": execute.login(arguments)}
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        if name is None:
            missing = target.endswith("/") and not os.path.isdir(target)  # noqa: PTH112 (is_dir() raises)
            if missing and not arguments.recursive:
                raise NotFound(f"{target}: no such folder")
            paths = [path for _, path in sources]
            fleet.remote.fetch(str(machine), paths, Path(target), operation=operation, **how)
        else:
            files = [Path(path) for _, path in sources]
            fleet.remote.send(str(machine), files, target, operation=operation, **how)
    return 0


def _text(text: str) -> str:
    """As it was typed: `./a:b` says something else than `a:b`."""
    options.path(text)
    return text


def _place(text: str) -> tuple[str | None, str]:
    """A machine, if it is one's, and the path there."""
    before, colon, path = text.partition(":")
    if colon and before and "/" not in before:
        return before, path
    return None, text
