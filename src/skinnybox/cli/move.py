"""move."""

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.cli import options, report
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.host_kind import ADDRESSES, XAPI
from skinnybox.fleet.settings import Settings
from skinnybox.model import Network

if TYPE_CHECKING:
    from skinnybox.fleet.change import Changes


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "move", _move, "take stopped machines to another state folder, or a pool",
        "Each goes with its disks, and with its master and layers where those are missing there. It is made "
        "there and compared, and only then deleted here; what is killed, the same command goes on with.",
    )  # fmt: skip
    options.add_machines(parser)
    parser.add_argument(
        "--to", metavar="FOLDER", required=True, type=options.path, help="the state folder that gets them"
    )
    parser.add_argument(
        "--to-host", metavar="HOST", help=f"where machines of that folder run: {ADDRESSES}; else as it says"
    )
    parser.add_argument("--without-snapshots", action="store_true", help="give up the snapshots they have")
    parser.add_argument("--network", choices=[*Network], help="another one than here")
    parser.add_argument("--bridge", metavar="NAME", help="of the host there; means --network bridge")


def _move(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.moving import Move
    from skinnybox.fleet.registry import open_fleet

    wanted = Move(without_snapshots=arguments.without_snapshots, changes=_changes(arguments))
    there = _there(options.settings(arguments), arguments.to, arguments.to_host)
    with (
        options.fleet(arguments) as fleet,
        open_fleet(there) as other,
        shown(arguments.quiet) as operation,
    ):
        results = fleet.deltas.move(arguments.names, other.deltas, wanted, operation)
    return report.outcomes(results, lambda _: f"moved to {arguments.to}")


def _there(here: Settings, folder: Path, address: str | None) -> Settings:
    if re.match("[a-z]+:/", str(folder)):  # of a path // is /
        raise UsageError(
            f"{folder} is no folder of this computer",
            hint="to another computer: skinnybox export NAME - --data | ssh USER@IT skinnybox create NAME "
            "--from -; to a pool: a state folder for it, and --to-host",
        )
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
