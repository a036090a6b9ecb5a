"""rebase, rollback."""

import argparse
from typing import TYPE_CHECKING, Any

from skinnybox.cli import numbers, options, rebase_do, render, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.progress import shown
from skinnybox.errors import Blocked, Conflict, UsageError
from skinnybox.fleet import present_rebase
from skinnybox.fleet.batch import worst
from skinnybox.fleet.power import READY_TIMEOUT
from skinnybox.fleet.rebases import ON_CONFLICT, Wishes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skinnybox.fleet.service import Fleet

_COLUMNS = ("name", "master", "onto", "packages", "accounts", "files", "conflicts", "blocked", "verdict")
_DECISIONS = ("standing", "what", "name", "class", "fate", "detail")
_ON_FAIL = ("stop", "rollback")
_OF_ONTO = (
    "dry_run", "explain", "on_conflict", "rules", "take", "pin", "replay", "without", "instead", "after",
    "timeout", "check", "no_wait", "no_start", "wait_ready", "max_unavailable", "keep", "on_fail",
)  # fmt: skip
_CODES = {"clean": 0, "there": 0, "conflicts": Conflict.exit_code, "blocked": Blocked.exit_code}


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "rebase", _rebase, "put another master under machines, and keep what is theirs",
        "A new overlay is built beside the old one, and the next start is a trial: a machine that is not "
        "ready in time has its old system back. Those that run are stopped for it and started, others are "
        "off again when they have passed. What they were is kept until --commit. The same command again goes "
        f"on where it was. Exit code {Conflict.exit_code}: something is in dispute; {Blocked.exit_code}: it "
        "cannot be done so.",
    )  # fmt: skip
    options.add_machines(parser)
    way = parser.add_mutually_exclusive_group(required=True)
    onto = way.add_argument("--onto", metavar="MASTER", help="NAME, NAME:VERSION or an id")
    ask_for(onto, "masters")
    way.add_argument("--commit", action="store_true", help="give up the way back: what they were is deleted")
    parser.add_argument(
        "--dry-run", action="store_true",
        help="only say what would be done: what is kept, taken, merged and in dispute, by package, account "
        "and file; of one machine everything, of several a line for each; they must be off",
    )  # fmt: skip
    parser.add_argument(
        "--explain", metavar="PATH", help="with --dry-run, of one machine: why this path is what it is"
    )
    _add_wishes(parser)
    _add_replay(parser)
    _add_doing(parser)
    options.add_yes(parser)
    options.add_format(parser)

    parser = options.command(
        commands, "rollback", rebase_do.roll_back, "put machines back on the master of before their rebase",
        "What they had since is kept as a snapshot. Those that run are stopped for it, and started again.",
    )  # fmt: skip
    options.add_machines(parser)
    options.add_format(parser)


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on-conflict", choices=ON_CONFLICT, default=ON_CONFLICT[0],
        help="whose is taken where both changed something: the machine's (ours), the new master's (theirs), "
        "text below /etc of both where they do not touch (merge, the default), nobody's (fail)",
    )  # fmt: skip
    parser.add_argument(
        "--rules", metavar="FILE", type=options.path,
        help="lines `CHOICE GLOB`, the first that fits counts: ours, theirs, merge, fail; take, pin",
    )  # fmt: skip
    for word, what in (("take", "the new master's, whatever the machine has"), ("pin", "the machine's")):
        parser.add_argument(
            f"--{word}", metavar="PATH", action="append", default=[],
            help=f"of this path, and all below it, {what}; may repeat",
        )  # fmt: skip


def _add_replay(parser: argparse.ArgumentParser) -> None:
    again = parser.add_argument_group("onto another release")
    add = again.add_argument
    add("--replay", action="store_true", help="packages are all the new master's, and what a machine had "
        "beyond its own is installed again by its package manager, from the new one's sources")  # fmt: skip
    add("--without", metavar="NAME", action="append", default=[], help="a package, or a service, that need "
        "not come again; may repeat")  # fmt: skip
    add("--instead", metavar="OLD=NEW", action="append", default=[], type=_pair, help="the new release's "
        "package that takes the place of one of the machine; may repeat")  # fmt: skip
    add("--after", metavar="COMMAND", action="append", default=[], help="for the machine's shell, as root, "
        "when its packages are installed, with no service running: what no package can know")  # fmt: skip


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW, such as php7.4-fpm=php8.2-fpm")
    return old, new


def _add_doing(parser: argparse.ArgumentParser) -> None:
    doing = parser.add_argument_group("the trial, and many machines")
    add = doing.add_argument
    options.add_timeout(parser, READY_TIMEOUT, "how long each trial may last")
    add("--check", metavar="COMMAND", type=numbers.own_check, help="for the guest's shell, as root, which "
        "has to succeed from now on before a machine is ready")  # fmt: skip
    waiting = doing.add_mutually_exclusive_group()
    waiting.add_argument("--no-wait", action="store_true", help="return when they run: whoever touches a "
        "machine next decides its trial, `wait` does")  # fmt: skip
    waiting.add_argument("--no-start", action="store_true", help="only build: their next start is the trial")
    waiting.add_argument("--wait-ready", action="store_true", help="go on to the next when one is ready (the "
        "default)")  # fmt: skip
    add("--max-unavailable", metavar="N", type=numbers.count, help="how many at once (default 1 where any of "
        "them runs, else as many as may come up at once)")  # fmt: skip
    add("--keep", metavar="DAYS", type=numbers.count, help="how long the way back is kept (default: until "
        "--commit)")  # fmt: skip
    add("--on-fail", choices=_ON_FAIL, default=_ON_FAIL[0], help="where one fails no other is begun "
        "(stop, the default), and those done before it get their old system back (rollback)")  # fmt: skip


def _rebase(arguments: argparse.Namespace) -> int:
    if arguments.commit:
        _refuse_beside_commit(arguments)
        return rebase_do.commit(arguments)
    if not arguments.dry_run:
        if arguments.explain is not None:
            raise UsageError("--explain goes with --dry-run")
        return rebase_do.rebase(arguments, _wishes(arguments))
    with options.fleet(arguments) as fleet:
        names = [machine.name for machine in fleet.machines(arguments.names)]
        wishes = _wishes(arguments)
        if arguments.explain is not None:
            return _explain(arguments, fleet, names, wishes)
        if len(names) == 1:
            return _one(arguments, fleet, names[0], wishes)
        return _several(arguments, fleet, names, wishes)


def _refuse_beside_commit(arguments: argparse.Namespace) -> None:
    """Who says --dry-run does not expect that anything is deleted; nor does any other of these say how."""
    usual = {"on_conflict": ON_CONFLICT[0], "on_fail": _ON_FAIL[0]}
    for option in _OF_ONTO:
        if getattr(arguments, option) not in (usual.get(option), None, False, []):
            word = option.replace("_", "-")
            raise UsageError(f"--{word} goes with --onto: a commit deletes what the machines were before")


def _wishes(arguments: argparse.Namespace) -> Wishes:
    return Wishes(
        on_conflict=arguments.on_conflict,
        rules=arguments.rules,
        take=tuple(arguments.take),
        replay=arguments.replay,
        without=tuple(arguments.without),
        instead=tuple(arguments.instead),
        pin=tuple(arguments.pin),
    )


def _several(arguments: argparse.Namespace, fleet: "Fleet", names: "Sequence[str]", wishes: Wishes) -> int:
    with shown(arguments.quiet) as operation:
        results = fleet.rebases.plans(names, arguments.onto, wishes, operation, check=arguments.check)
    records = [present_rebase.summary(result.value) for result in results if result.value is not None]
    people = arguments.format in ("table", "csv")
    shown_records = [_in_short(record) for record in records] if people else records
    render.emit(shown_records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    for result in results:
        if result.error is not None:
            report.say(result.error, result.name)
    return max([worst(results), *(_CODES[record["verdict"]] for record in records)])


def _one(arguments: argparse.Namespace, fleet: "Fleet", name: str, wishes: Wishes) -> int:
    with shown(arguments.quiet) as operation:
        summary, decisions = fleet.rebases.plan(
            name, arguments.onto, wishes, operation, check=arguments.check
        )
    record = present_rebase.summary(summary, decisions)
    if arguments.format in ("table", "csv"):
        if record["decisions"] or arguments.format == "csv":
            render.emit(record["decisions"], _DECISIONS, arguments.format, headers=not arguments.no_headers)
        report.note(_verdict(record))
    else:
        render.emit([record], _COLUMNS, arguments.format)
    return _CODES[record["verdict"]]


def _verdict(record: dict[str, Any]) -> str:
    head = f"{record['name']}: {record['master']} -> {record['onto']}"
    match record["verdict"]:
        case "there":
            return f"{head}: it boots from that already"
        case "clean":
            return f"{head}: nothing is in dispute"
    told = [f"{record[key]} {word}" for key, word in (("conflicts", "in dispute"), ("blocked", "blocked"))
            if record[key]]  # fmt: skip
    way = " (--on-conflict, --rules, --take and --pin say who wins)" if record["conflicts"] else ""
    return f"{head}: {', '.join(told)}{way}"


def _explain(arguments: argparse.Namespace, fleet: "Fleet", names: "Sequence[str]", wishes: Wishes) -> int:
    if len(names) != 1:
        raise UsageError("--explain is for one machine", hint="name one")
    with shown(arguments.quiet) as operation:
        found = fleet.rebases.explain(names[0], arguments.onto, arguments.explain, wishes, operation)
    record = present_rebase.explained(found)
    if arguments.format in ("table", "csv"):
        decided = [each for decision in record["decisions"] for each in _lines(decision)]
        below = _below(record["below"])
        nothing = "there: the new master's is seen" if not below else "but what is below it"
        render.pairs(
            {
                "path": record["path"],
                "decided": decided or [f"the machine has nothing of its own {nothing}"],
                **({"below": below} if below else {}),
                "old master": _entry(record["old"]),
                "new master": _entry(record["new"]),
            }
        )
    else:
        render.emit([record], ("path",), arguments.format, one=True)
    return 0


def _lines(decision: dict[str, Any]) -> list[str]:
    told = f"{decision['class']}: {decision['fate']} ({decision['standing']})"
    owner = f"owner {decision['owner']}" if decision["owner"] else ""
    return [f"{decision['name']}: {told}", *filter(None, (decision["why"], decision["detail"], owner))]


def _below(found: dict[str, Any]) -> str | None:
    words = (("blocked", "blocked"), ("conflict", "in dispute"), ("clean", "clean"))
    told = ", ".join(f"{found[key]} {word}" for key, word in words if found[key])
    return f"{told}; such as {found['first']}" if told else None


def _entry(entry: dict[str, Any] | None) -> str | None:
    if entry is None:
        return None
    what = entry["target"] or entry["digest"] or ""
    return f"{entry['type']} {entry['mode']} {entry['uid']}:{entry['gid']} {what}".rstrip()


def _in_short(record: dict[str, Any]) -> dict[str, Any]:
    def told(numbers: dict[str, int]) -> str | None:
        return ", ".join(f"{count} {word}" for word, count in numbers.items()) or None

    return {**record, **{key: told(record[key]) for key in ("packages", "accounts", "files")}}
