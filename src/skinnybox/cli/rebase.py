"""rebase."""

import argparse
from typing import TYPE_CHECKING, Any

from skinnybox.cli import options, render, report
from skinnybox.cli.complete import ask_for
from skinnybox.cli.progress import shown
from skinnybox.errors import Blocked, Conflict, Unsupported, UsageError
from skinnybox.fleet import present_rebase
from skinnybox.fleet.batch import worst
from skinnybox.fleet.rebases import ON_CONFLICT, Wishes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skinnybox.fleet.service import Fleet

_COLUMNS = ("name", "master", "onto", "packages", "accounts", "files", "conflicts", "blocked", "verdict")
_DECISIONS = ("standing", "what", "name", "class", "fate", "detail")
_CODES = {"clean": 0, "there": 0, "conflicts": Conflict.exit_code, "blocked": Blocked.exit_code}


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "rebase", _rebase, "tell what a new master under stopped machines would mean",
        "What is kept, taken, merged and in dispute, by package, account and file. Nothing is written, and "
        "so far it is only told: --dry-run has to be said. Of one machine everything is listed, of several a "
        f"line for each. Exit code {Conflict.exit_code}: something is in dispute; {Blocked.exit_code}: it "
        "cannot be done so.",
    )  # fmt: skip
    options.add_machines(parser)
    onto = parser.add_argument("--onto", metavar="MASTER", required=True, help="NAME, NAME:VERSION or an id")
    ask_for(onto, "masters")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--explain", metavar="PATH", help="of one machine: why this path is what it is in its plan"
    )
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
    options.add_format(parser)


def _rebase(arguments: argparse.Namespace) -> int:
    if not arguments.dry_run:
        raise Unsupported(
            "a rebase is only told so far, and not done yet", hint="--dry-run says what it would mean"
        )
    wishes = Wishes(
        on_conflict=arguments.on_conflict,
        rules=arguments.rules,
        take=tuple(arguments.take),
        pin=tuple(arguments.pin),
    )
    with options.fleet(arguments) as fleet:
        names = [machine.name for machine in fleet.machines(arguments.names)]
        if arguments.explain is not None:
            return _explain(arguments, fleet, names, wishes)
        if len(names) == 1:
            return _one(arguments, fleet, names[0], wishes)
        return _several(arguments, fleet, names, wishes)


def _several(arguments: argparse.Namespace, fleet: "Fleet", names: "Sequence[str]", wishes: Wishes) -> int:
    with shown(arguments.quiet) as operation:
        results = fleet.rebases.plans(names, arguments.onto, wishes, operation)
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
        summary, decisions = fleet.rebases.plan(name, arguments.onto, wishes, operation)
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
        nothing = ["the machine has nothing of its own there: the new master's is seen"]
        render.pairs(
            {
                "path": record["path"],
                "decided": decided or nothing,
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


def _entry(entry: dict[str, Any] | None) -> str | None:
    if entry is None:
        return None
    what = entry["target"] or entry["digest"] or ""
    return f"{entry['type']} {entry['mode']} {entry['uid']}:{entry['gid']} {what}".rstrip()


def _in_short(record: dict[str, Any]) -> dict[str, Any]:
    def told(numbers: dict[str, int]) -> str | None:
        return ", ".join(f"{count} {word}" for word, count in numbers.items()) or None

    return {**record, **{key: told(record[key]) for key in ("packages", "accounts", "files")}}
