"""move and receive."""

import argparse
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.cli import options, report
from skinnybox.cli.progress import shown
from skinnybox.errors import SkinnyboxError, UsageError, from_system
from skinnybox.fleet import trust
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.host_kind import ADDRESSES, XAPI
from skinnybox.fleet.settings import Settings
from skinnybox.model import Network

if TYPE_CHECKING:
    from skinnybox.fleet.change import Changes
    from skinnybox.fleet.deltas import Deltas
    from skinnybox.fleet.elsewhere.place import Place

_INPUT = 0
_HERE_AND_THERE = (
    ("--state or SKINNYBOX_STATE", "--to"),
    ("--state names", "--to names"),
    ("--host says", "--to-host says"),
)


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "move", _move, "take stopped machines to another state folder, computer or pool",
        "Each goes with its disks, and with its master and layers where those are missing there. It is made "
        "there and compared, and only then deleted here; what is killed, the same command goes on with.",
    )  # fmt: skip
    options.add_machines(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--to", metavar="FOLDER", type=options.guest_path,
        help="the state folder that gets them; on another computer ssh://[USER@]HOST[:PORT]/FOLDER",
    )  # fmt: skip
    where.add_argument(
        "--stay", action="store_true",
        help="give up a move that was interrupted: you know that they are not there",
    )  # fmt: skip
    parser.add_argument(
        "--to-host", metavar="HOST", help=f"where machines of that folder run: {ADDRESSES}; else as it says"
    )
    parser.add_argument("--without-snapshots", action="store_true", help="give up the snapshots they have")
    parser.add_argument("--network", choices=[*Network], help="another one than here")
    parser.add_argument("--bridge", metavar="NAME", help="of the host there; means --network bridge")
    options.command(
        commands, "receive", _receive, "be the other end of `move` from another computer",
        "Reads one request on standard input and answers it. Only for `move`, which calls it by ssh.",
    )  # fmt: skip


def _move(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.moving import Move

    wanted = Move(without_snapshots=arguments.without_snapshots, changes=_changes(arguments))
    with ExitStack() as opened:
        there = None if arguments.stay else _destination(arguments, opened)
        fleet = opened.enter_context(options.fleet(arguments))
        operation = opened.enter_context(shown(arguments.quiet))
        results = fleet.deltas.move(arguments.names, there, wanted, operation)
    return report.outcomes(results, lambda _: "stays" if arguments.stay else f"moved to {arguments.to}")


def _destination(arguments: argparse.Namespace, opened: ExitStack) -> "Deltas | Place":
    from skinnybox.fleet.elsewhere.place import SCHEME, place_of
    from skinnybox.fleet.registry import open_fleet

    if arguments.to.startswith(SCHEME):
        return place_of(arguments.to, arguments.to_host)
    with _in_words_of_to(arguments.to):
        there = _there(options.settings(arguments), arguments.to, arguments.to_host)
        return opened.enter_context(open_fleet(there)).deltas


@contextmanager
def _in_words_of_to(folder: str) -> Iterator[None]:
    """Hints are written for the folder that a command works in, which other options name than this one."""
    try:
        yield
    except SkinnyboxError as error:
        repair = ("`skinnybox repair", f"`skinnybox --state {shlex.quote(folder)} repair")
        for words, here in (*_HERE_AND_THERE, repair):
            error.hint = error.hint and error.hint.replace(words, here)
        raise


def _there(here: Settings, text: str, address: str | None) -> Settings:
    if re.match("[a-z]+:/", text):
        raise UsageError(
            f"{text} is no folder",
            hint="to another computer: ssh://HOST/FOLDER; to a pool: a state folder for it, and --to-host",
        )
    folder = Path(text)
    trust.refuse_no_folder(folder)
    if address is None:
        kind = host_kind.noted(folder) or host_kind.kind_of(here.host)
        if kind is XAPI:
            raise UsageError(
                f"which pool the machines in {folder} are on is not said", hint=f"--to-host {XAPI.address}"
            )
        address = kind.address
    return replace(here, state=folder.absolute(), host=address)


def _changes(arguments: argparse.Namespace) -> "Changes":
    from skinnybox.fleet.change import Changes

    if arguments.bridge is not None:
        return Changes(network=Network.BRIDGE, bridge=arguments.bridge)
    return Changes() if arguments.network is None else Changes(network=Network(arguments.network))


def _receive(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.elsewhere import form

    if sys.stdin.isatty():
        raise UsageError("this is for `move` on another computer", hint="skinnybox move NAME --to ssh://...")
    try:
        state = str(options.settings(arguments).state)
        with _in_words_of_to(state), options.fleet(arguments) as fleet, shown(True) as operation:
            answer = fleet.deltas.receive(_INPUT, operation)
    except SkinnyboxError as error:
        return _failed(error)
    except OSError as error:
        denied = from_system(error)
        if denied is None:
            raise
        return _failed(denied)
    print(form.answer_line(answer))
    return 0


def _failed(error: SkinnyboxError) -> int:
    from skinnybox.fleet.elsewhere import form

    print(form.error_line(error))
    return error.exit_code
