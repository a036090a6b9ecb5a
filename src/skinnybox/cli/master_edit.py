"""master edit: a master, worked on in a machine of its own, becomes another."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.cli import access, execute, numbers, options, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.progress import Hidden, shown_but
from skinnybox.errors import CommandFailed, NotFound, UsageError
from skinnybox.model import Network, SeedUser
from skinnybox.sizes import format_size
from skinnybox.values import replace

if TYPE_CHECKING:
    from skinnybox.fleet.editing import Work
    from skinnybox.fleet.service import Fleet
    from skinnybox.fleet.settings import Settings
    from skinnybox.fleet.specification import Specification

_NOT_REACHED = 255
_DRAWN = 5
"""Bytes of a password that is typed once, where nobody else is."""


def add_to(nouns: options.Commands) -> None:
    parser = options.command(
        nouns, "edit", _edit, "work on a master in a machine of its own, and seal that as another",
        "The machine is started, and you are in it by ssh; when you leave, it is shut down and sealed as "
        "`promote` does, and deleted. A script that fails seals nothing.",
    )  # fmt: skip
    ask_for(parser.add_argument("master", metavar="MASTER", help="NAME, NAME:VERSION or an id"), "masters")
    add = parser.add_argument
    add("--as", dest="new", metavar="NAME[:VERSION]", required=True, help="what it becomes; the version "
        "defaults to today's date")  # fmt: skip
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--run", dest="script", metavar="SCRIPT", type=options.path, help="copy this file into "
        "the machine and run it there as root, instead of a shell")  # fmt: skip
    how.add_argument("--console", action="store_true", help="at the serial console, instead of by ssh")
    add("--keep", action="store_true", help="keep the machine, whatever becomes of it")
    add("--overlay", metavar="SIZE", type=numbers.size, help="how much may be written there (default 4G)")
    add("--memory", metavar="SIZE", type=numbers.size, help="memory of the machine (default 1G)")
    add("--cpus", metavar="N", type=numbers.count, help="processors of the machine (default 1)")
    add("--network", choices=[str(n) for n in Network if n is not Network.BRIDGE], help="as of `create`")
    options.add_yes(parser)


def _edit(arguments: argparse.Namespace) -> int:
    if arguments.script is not None and not arguments.script.is_file():
        raise NotFound(f"{arguments.script} is no file")
    if arguments.script is None and not sys.stdin.isatty():
        raise UsageError("master edit needs a terminal to work at", hint="--run SCRIPT needs none")
    password = _drawn() if arguments.console else None
    specification = _specification(arguments, options.settings(arguments), password)
    with options.fleet(arguments) as fleet, shown_but(arguments.quiet) as (operation, hidden):
        work = _work(arguments, fleet, password, hidden)
        master = fleet.master_edits.edit(
            arguments.master, arguments.new, work, specification, operation,
            keep=arguments.keep, by_script=arguments.script is not None,
        )  # fmt: skip
    if master is None:
        report.done(f"{arguments.new}: not sealed")
        return 1
    sizes = " + ".join(format_size(image.size) for image in master.images)
    report.done(f"{master.reference}: sealed, {sizes}, {master.id[:19]}")
    return 0


def _drawn() -> str:
    import secrets

    return secrets.token_hex(_DRAWN)


def _specification(
    arguments: argparse.Namespace, settings: "Settings", password: str | None
) -> "Specification":
    """`password` is root's in this machine: a master has none to come in with at a console. What a seed gave
    does not go to the new one."""
    from skinnybox.fleet.editing import specification_of

    asked = specification_of(arguments.overlay, arguments.memory, arguments.cpus or settings.cpus)
    users = []
    if password is not None:
        from skinnybox.fleet.sha_crypt import hashed

        users.append(SeedUser(name="root", password_hash=hashed(password)))
    network = Network(arguments.network) if arguments.network else None
    return replace(asked, network=network, users=tuple(users))


def _work(arguments: argparse.Namespace, fleet: "Fleet", password: str | None, hidden: Hidden) -> "Work":
    def script(name: str) -> bool:
        with hidden():
            _run(fleet, name, arguments.script)
        return True

    def session(name: str) -> bool:
        with hidden():
            _enter(arguments, fleet, name, password)
            return _is_wanted(arguments, name)

    return script if arguments.script is not None else session


def _run(fleet: "Fleet", name: str, file: Path) -> None:
    """Its output is ours. CommandFailed, with its exit code, when it fails."""
    from skinnybox.fleet.editing import RUN

    with file.open("rb") as source, execute.joined(source.fileno()) as streams:
        code = fleet.remote.attach(name, ["sh", "-c", RUN], streams)
    if code:
        raise CommandFailed(
            f"{file} ended with {code}: nothing is sealed", returncode=code, stderr="",
            hint="--keep leaves the machine, to look into it",
        )  # fmt: skip


def _enter(arguments: argparse.Namespace, fleet: "Fleet", name: str, password: str | None) -> None:
    ready = f"{name} is ready: what you do here becomes {arguments.new}"
    if password is not None:
        print(f"{ready}; log in as root, with the password {password}", file=sys.stderr, flush=True)
        access.attach(fleet, name)
        return
    report.note(f"{ready}; `exit` ends it")
    if fleet.remote.ssh(name) == _NOT_REACHED:
        report.warn("ssh ended with 255: was the connection lost?")


def _is_wanted(arguments: argparse.Namespace, name: str) -> bool:
    kept = "stays" if arguments.keep else "is deleted, with what was done in it"
    try:
        options.confirm(
            arguments, f"shut {name} down and seal it as {arguments.new}", [f"otherwise {name} {kept}"]
        )
    except UsageError:
        return False
    return True
