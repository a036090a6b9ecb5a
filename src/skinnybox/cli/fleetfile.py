"""plan, apply, set."""

import argparse
import json
from typing import TYPE_CHECKING

from skinnybox.cli import grouped, numbers, options, render, report, terminal
from skinnybox.cli.options import path
from skinnybox.cli.progress import shown
from skinnybox.errors import Blocked, UsageError
from skinnybox.fleet import asked, present
from skinnybox.fleet.view import MachineView
from skinnybox.model import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from skinnybox.fleet.change import Changes
    from skinnybox.fleet.plan.actions import Choices
    from skinnybox.fleet.plan.apply import Plan
    from skinnybox.fleet.telling import Telling
    from skinnybox.model import Instance

DIFFERS = 10
_READY_TIMEOUT = 300.0
_AT_ONCE = {"protected"}
_COLUMNS = ("action", "name", "detail")
_UNSAID = object()
"""Of an option of which also `none` says something."""


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "plan", _plan, "show what apply would do with a fleet file",
        "Changes nothing. Exits with 5 when something is blocked.",
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", nargs="?", type=path, help="the fleet file, YAML")
    _add_choices(parser)
    options.add_format(parser)
    parser.add_argument(
        "--exit-code", action="store_true", help=f"exit with {DIFFERS} when there is any to do"
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of fleet files instead")

    parser = options.command(
        commands, "apply", _apply, "make the machines be as a fleet file says",
        "Interrupted, the same command again goes on. Nothing is deleted, made anew or reset unless it is "
        "said here.",
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", type=path, help="the fleet file, YAML")
    _add_choices(parser)
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    options.add_yes(parser)
    options.add_parallel(parser)
    parser.add_argument("--no-wait", action="store_true", help="do not wait until machines are ready")
    options.add_timeout(parser, _READY_TIMEOUT, "how long each may take until it is ready")

    _add_set(commands)


def _add_choices(parser: argparse.ArgumentParser) -> None:
    choices = parser.add_argument_group("beyond what an edit may do by itself")
    add = choices.add_argument
    add("--prune", action="store_true", help="delete machines of this fleet that the file does not have")
    add("--recreate", metavar="NAME", action="append", default=[], help="delete it and make it anew; may "
        "repeat")  # fmt: skip
    add("--reset", metavar="NAME", action="append", default=[], help="give it a fresh overlay with the "
        "file's seed (keys, files, addresses); may repeat")  # fmt: skip
    add("--rebase", action="store_true", help="put machines on the master that the file names now, each "
        "on trial and with the way back")  # fmt: skip
    add("--replay", action="store_true", help="with --rebase: also onto a master of another release, where "
        "the file does not say how")  # fmt: skip
    add("--adopt", action="store_true", help="take machines of the same names into this fleet")


def _add_set(commands: options.Commands) -> None:
    parser = options.command(
        commands, "set", _set, "change machines in place",
        "Those that run go on as they were started; it takes effect at their next start.",
    )  # fmt: skip
    options.add_machines(parser)
    add = parser.add_argument
    add("--memory", metavar="SIZE", type=numbers.size, help="memory of each machine")
    add("--cpus", metavar="N", type=numbers.count, help="processors of each machine")
    add("--swap", metavar="SWAP", type=numbers.swap_or_none, default=_UNSAID, help="SIZE of a swap file on "
        "the overlay's disk, zram or zram:SIZE, or none; of stopped ones; a new seed tells it")  # fmt: skip
    add("--throw-away", metavar="WHERE", type=numbers.throw_away_or_none, default=_UNSAID, help="disk, "
        "memory, memory:SIZE or none; of stopped ones; a new seed tells it")  # fmt: skip
    add("--check", metavar="COMMAND", type=numbers.own_check_or_none, default=_UNSAID, help="what says that "
        "they are ready, or none; of stopped ones; a new seed tells it")  # fmt: skip
    add("--network", choices=["default", *(str(n) for n in Network)], help="how they reach out; default: "
        "what the host takes for machines of which nothing is said")  # fmt: skip
    add("--bridge", metavar="NAME", help="a tap on this bridge of the host")
    add("--protect", action=argparse.BooleanOptionalAction, help="nobody deletes them, also by force; counts "
        "at once")  # fmt: skip
    add("--label", metavar="KEY=VALUE", action="append", default=[], help="a word of your own, for --filter; "
        "may repeat")  # fmt: skip
    add("--no-label", metavar="KEY", action="append", default=[], help="take it away; may repeat")
    add("--data", metavar="SIZE", type=numbers.size, help="give stopped ones a data disk of this size")
    add("--data-dir", metavar="FOLDER", type=options.guest_path, action="append", default=[],
        help="another folder that lies on it, filled at the next start with what lies there then; may "
        "repeat")  # fmt: skip
    add("--ssh-port", metavar="PORT", type=numbers.count,
        help="of the host's loopback, leads to its ssh; only of one machine, stopped")  # fmt: skip
    options.add_yes(parser)


def _plan(arguments: argparse.Namespace) -> int:
    if arguments.schema:
        from skinnybox.fleet.spec.shape import schema

        print(json.dumps(schema(), indent=2))
        return 0
    if arguments.file is None:
        raise UsageError("plan needs a FILE", hint="or --schema")
    with options.fleet(arguments) as fleet:
        plan = fleet.files.plan(arguments.file, _choices(arguments))
    _show(plan, arguments.format, headers=not arguments.no_headers)
    return _ended(plan, DIFFERS if arguments.exit_code else 0)


def _apply(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.plan.apply import Plan
    from skinnybox.fleet.power import Starting

    if arguments.dry_run:
        with options.fleet(arguments) as fleet:
            plan = fleet.files.plan(arguments.file, _choices(arguments))
        _show(plan, "table", headers=True)
        return _ended(plan, 0)

    def agree(plan: Plan) -> None:
        _confirm(arguments, plan)
        if not plan.actions:
            report.note("nothing to do")
        if plan.extras:
            said = options.listed(plan.extras)
            report.note(f"not in the file any more, and left alone without --prune: {said}")

    how = Starting(parallel=arguments.parallel, wait=not arguments.no_wait, timeout=arguments.timeout)
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.files.apply(arguments.file, _choices(arguments), how, agree, operation)
    return report.outcomes(results, str)


def _choices(arguments: argparse.Namespace) -> "Choices":
    from skinnybox.fleet.plan.actions import Choices

    return Choices(
        prune=arguments.prune,
        adopt=arguments.adopt,
        rebase=arguments.rebase,
        replay=arguments.replay,
        recreate=frozenset(arguments.recreate),
        reset=frozenset(arguments.reset),
    )


def _confirm(arguments: argparse.Namespace, plan: "Plan") -> None:
    from skinnybox.fleet.plan.actions import Verb

    deeds = {
        Verb.DELETE: "delete {} and all that is theirs",
        Verb.RECREATE: "delete {} and make them anew",
        Verb.RESET: "throw away what {} made their own",
    }
    said = []
    for verb, words in deeds.items():
        names = [action.name for action in plan.actions if action.verb is verb]
        if names:
            said.append(words.format(options.listed(names)))
    if said:
        options.confirm(arguments, "; ".join(said))


def _ended(plan: "Plan", differs: int) -> int:
    """What is true of each machine has been shown; what is of all of them is said now."""
    from skinnybox.fleet.plan.actions import Verb

    if plan.refusal is not None:
        raise plan.refusal
    if any(action.verb is Verb.BLOCKED for action in plan.actions):
        return Blocked.exit_code
    return differs if plan.actions else 0


def _show(plan: "Plan", fmt: str, *, headers: bool) -> None:
    from skinnybox.fleet.plan.descriptions import count

    records = [present.action(action) for action in plan.actions]
    records += [present.extra(name) for name in plan.extras]
    wide = terminal.width()
    if fmt == "table" and wide is not None:
        for line in grouped.lines(records, wide):
            print(line)
    elif records or fmt != "table":
        render.emit(records, _COLUMNS, fmt, headers=headers)
    if fmt == "table":
        report.note(count(plan.actions))


def _set(arguments: argparse.Namespace) -> int:
    changes, relabel = _changes(arguments), arguments.label or arguments.no_label
    telling = _telling(arguments)
    if arguments.data is not None or arguments.data_dir:
        if changes or relabel or telling:
            raise UsageError("--data and --data-dir go by themselves", hint="set the rest before or after")
        return _give_data(arguments)
    if not (changes or relabel or telling):
        raise UsageError("set changes nothing as long as nothing is said", hint="--memory 1G, for example")
    wanted = _with_labels(arguments, changes) if relabel else changes
    with options.fleet(arguments) as fleet:
        names = arguments.names  # which --filter has narrowed by now
        if telling:
            emptied = asked.emptied(fleet.machines(names), telling.get("throw_away"))
            options.confirm_for(arguments, emptied, "throw away at their next start what {} made their own")
        with shown(arguments.quiet) as operation:
            if telling:
                told = fleet.overlays.tell(names, telling, operation, changes=wanted)
                return report.outcomes(told, lambda _: "changed; its next start applies all of its seed")
            results = fleet.set(names, wanted, operation)
    return report.outcomes(results, lambda machine: _changed(machine, set(changes) <= _AT_ONCE))


def _telling(arguments: argparse.Namespace) -> "Telling":
    """What a guest has to know before it mounts its root."""
    telling: Telling = {}
    if arguments.swap is not _UNSAID:
        telling["swap"] = arguments.swap
    if arguments.throw_away is not _UNSAID:
        telling["throw_away"] = arguments.throw_away
    if arguments.check is not _UNSAID:
        telling["check"] = arguments.check
    return telling


def _give_data(arguments: argparse.Namespace) -> int:
    from skinnybox.model.datadisk import check_folder

    folders = [check_folder(folder) for folder in arguments.data_dir]
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.overlays.give_data(arguments.names, arguments.data, folders, operation)

    def said(instance: "Instance") -> str:
        on = ", ".join(instance.data.folders) if instance.data else "nothing"
        return f"from its next start on its data disk: {on}"

    return report.outcomes(results, said)


def _changes(arguments: argparse.Namespace) -> "Changes":
    changes: Changes = {}
    if arguments.memory is not None:
        changes["memory"] = arguments.memory
    if arguments.cpus is not None:
        changes["cpus"] = arguments.cpus
    if arguments.network or arguments.bridge:
        changes["network"] = _network(arguments)
        changes["bridge"] = arguments.bridge
    if arguments.protect is not None:
        changes["protected"] = arguments.protect
    if arguments.ssh_port is not None:
        changes["ssh_port"] = arguments.ssh_port
    return changes


def _with_labels(arguments: argparse.Namespace, changes: "Changes") -> "Callable[[Instance], Changes]":
    from skinnybox.fleet.labelled import labelling
    from skinnybox.model.labels import check_key, parse_label

    for key in arguments.no_label:
        check_key(key)
    relabel = labelling(dict(map(parse_label, arguments.label)), arguments.no_label)
    return lambda instance: {**changes, **relabel(instance)}


def _network(arguments: argparse.Namespace) -> Network | None:
    """--bridge says it all; whether both go together is for the fleet to say."""
    if arguments.network is None:
        return Network.BRIDGE
    return None if arguments.network == "default" else Network(arguments.network)


def _changed(machine: MachineView, at_once: bool) -> str:
    if at_once:
        return "changed"
    runs = machine.status is not None and machine.status.pid is not None
    return "changed; it takes effect at its next start" if runs else "changed"
