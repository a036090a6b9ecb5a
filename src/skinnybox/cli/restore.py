"""create --from."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.cli import options, report
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.model import Network

if TYPE_CHECKING:
    from skinnybox.fleet.change import Changes

_SAID = frozenset(
    ("names", "sources", "new_identity", "overlay", "start", "state", "host", "quiet", "debug", "run",
     "command", "usual", "memory", "cpus", "network", "bridge")
)  # fmt: skip
_INPUT = 0


def add_to(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("of an export")
    group.add_argument(
        "--from", metavar="FILE", dest="sources", action="append", default=[], type=options.path,
        help="make the machine again that `export` wrote there, with its identity; - for standard input; "
        "increments follow, each with a --from of its own",
    )  # fmt: skip
    group.add_argument("--new-identity", action="store_true", help="as another machine, as `copy` makes one")
    usual = {action.dest: action.default for action in parser._actions}
    parser.set_defaults(usual=usual)


def is_meant(arguments: argparse.Namespace) -> bool:
    """UsageError for words that mean an export, where none is named."""
    if arguments.new_identity and not arguments.sources:
        raise UsageError("each new machine has an identity of its own", hint="--new-identity is for --from")
    return bool(arguments.sources)


def create(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.names import expand
    from skinnybox.fleet.restoring import Restore

    _refuse_said(arguments)
    names = expand(arguments.names)
    if len(names) != 1:
        raise UsageError(f"an export is of one machine, and {len(names)} names are given")
    wanted = Restore(
        sources=_sources(arguments.sources), overlay=arguments.overlay, new_identity=arguments.new_identity,
        changes=_changes(arguments),
    )  # fmt: skip
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        fleet.deltas.restore(names[0], wanted, operation)
        if not arguments.start:
            report.done(f"{names[0]}: restored")
            return 0
        results = fleet.start(names, operation=operation)
    return report.outcomes(results, lambda machine: str(machine.condition))


def _refuse_said(arguments: argparse.Namespace) -> None:
    """What the export says itself."""
    for name, value in vars(arguments).items():
        if name not in _SAID and value != arguments.usual.get(name):
            option = name.replace("_", "-")
            raise UsageError(
                f"--{option} is not for --from: the export says what the machine is",
                hint="--overlay, --memory, --cpus, --network and --bridge are; `set` alters the rest then",
            )


def _changes(arguments: argparse.Namespace) -> "Changes":
    from skinnybox.fleet.change import Changes

    changes = Changes()
    if arguments.memory is not None:
        changes["memory"] = arguments.memory
    if arguments.cpus is not None:
        changes["cpus"] = arguments.cpus
    if arguments.network is not None:
        changes["network"] = Network(arguments.network)
    if arguments.bridge is not None:
        changes |= {"network": Network.BRIDGE, "bridge": arguments.bridge}
    return changes


def _sources(found: list[Path]) -> tuple[Path | int, ...]:
    streamed = Path("-") in found
    if streamed and len(found) > 1:
        raise UsageError("of several archives none can come on standard input", hint="keep it in a file")
    if streamed and sys.stdin.isatty():
        raise UsageError("an archive is expected on standard input, not a terminal")
    return (_INPUT,) if streamed else tuple(each.absolute() for each in found)
