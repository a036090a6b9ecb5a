"""changes: what a machine made its own, or has otherwise than another."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from skinnybox.cli import changes_grouped, numbers, options, render, report, terminal, tree
from skinnybox.cli.complete import ask_for
from skinnybox.cli.progress import shown
from skinnybox.errors import UsageError
from skinnybox.fleet import present, present_changes
from skinnybox.model import Change, ChangeKind, Look
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.service import Fleet
    from skinnybox.operation import Operation

DIFFERS = 10
_COLUMNS = ("change", "type", "size", "path", "detail", "group", "package", "noise")
_NUMBERS = ("what", "name", "changes", "size")


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "changes", _changes, "list what a machine made its own",
        "Read from outside: added, modified, deleted, metadata (mode, owner, times), type, unread (too deep "
        "or too much to be listed). For people it is grouped: packages are told by their database, and what "
        "every machine has after a boot is only counted. Of two machines: what the first has and the other "
        "has not (added), or has otherwise, or only the other has (deleted). A running machine is read from "
        "a copy of one point in time, which is as exact.",
    )  # fmt: skip
    ask_for(
        parser.add_argument(
            "names", metavar="NAME", nargs="+",
            help="the machine, or two to compare; and absolute paths, at and below which to look",
        ),
        "machines",
    )  # fmt: skip
    options.add_format(parser)
    parser.add_argument("--exit-code", action="store_true", help=f"exit with {DIFFERS} when there are any")
    parser.add_argument(
        "--all", action="store_true",
        help="each path: also what a plain boot leaves, what is just as its seed has it (hostname, keys, "
        "network), and what is in the overlay as the master has it",
    )  # fmt: skip
    parser.add_argument(
        "--content", action="store_true", help="with the lines of text files that differ, for people"
    )
    parser.add_argument("--stat", action="store_true", help="numbers only: of each group, and each folder")
    parser.add_argument(
        "--tree", action="store_true", help="as a tree of folders with totals, the largest first"
    )
    parser.add_argument(
        "--depth", metavar="N", type=numbers.count, default=tree.DEPTH,
        help=f"with --tree: what is deeper is only in the totals (default {tree.DEPTH})",
    )  # fmt: skip


def _changes(arguments: argparse.Namespace) -> int:
    _refuse(arguments)
    names = _names(arguments)
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        with _look(arguments, fleet, operation) as look:
            found, show = _read(arguments, look)
        more: list[str] = []
        if arguments.content:
            from skinnybox.cli import changes_content

            more = list(changes_content.lines(fleet, names, found.paths, operation))
        datas = [(name, fleet.machine(name).instance.data) for name in names]
    for name, data in datas:
        if data is not None:
            whose = "its data disk" if len(names) == 1 else f"the data disk of {name}"
            report.note(f"on {whose}, and not looked into: {', '.join(data.folders)}")
    show()
    for line in more:
        print(line)
    return DIFFERS if found.any and arguments.exit_code else 0


def _names(arguments: argparse.Namespace) -> list[str]:
    return [word for word in arguments.names if not word.startswith("/")]


def _refuse(arguments: argparse.Namespace) -> None:
    """UsageError for what means nothing."""
    if not 1 <= len(_names(arguments)) <= 2:
        raise UsageError(
            "one machine, or two to compare", hint="skinnybox changes web-01; skinnybox changes web-01 web-02"
        )
    for option in ("tree", "content"):
        if getattr(arguments, option) and arguments.format != "table":
            raise UsageError(f"--{option} is for people", hint=f"without --format, or without --{option}")
    if sum((arguments.tree, arguments.content, arguments.stat)) > 1:
        raise UsageError("--tree, --content and --stat are three ways to show it", hint="say one of them")


@contextmanager
def _look(arguments: argparse.Namespace, fleet: "Fleet", operation: "Operation") -> Iterator[Look]:
    """What was asked for: of one machine or two, of all paths or some."""
    names, every = _names(arguments), arguments.all
    paths = [word for word in arguments.names if word.startswith("/")]
    same = every or (arguments.format == "table" and not arguments.tree)
    with (
        fleet.deltas.look(names[0], include_seed=every, include_same=same, operation=operation, paths=paths)
        if len(names) == 1
        else fleet.deltas.between(*names, include_seed=every, operation=operation, paths=paths)
    ) as look:
        yield look


@dataclass(slots=True)
class _Found:
    """Whether anything differs; and the paths whose content there is to show."""

    any: bool = False
    paths: list[Change] = field(default_factory=list)

    def seen(self, changes: Iterator[Change], *, keep: bool, hidden: bool) -> Iterator[Change]:
        """As they come."""
        for change in changes:
            self.any = self.any or change.kind is not ChangeKind.SAME
            if keep and change.type != "d" and (hidden or not changes_grouped.is_hidden(change)):
                self.paths.append(change)
            yield change


def _read(arguments: argparse.Namespace, look: Look) -> tuple[_Found, Callable[[], None]]:
    """All of it, and what shows it: nothing is printed while the progress of reading is shown."""
    found, whole = _Found(), arguments.all or any(word.startswith("/") for word in arguments.names)
    look = replace(look, changes=found.seen(look.changes, keep=arguments.content, hidden=whole))
    if arguments.stat:
        summary = present_changes.summary(" ".join(_names(arguments)), look)
        return found, partial(_emit_numbers, summary, arguments)
    if arguments.tree:
        every = [present.change(change) for change in look.changes]
        return found, lambda: _print(tree.lines(every, arguments.depth), cut=True)
    if arguments.format == "table":
        gathered = changes_grouped.gathered(look, whole=whole)
        return found, lambda: _print(changes_grouped.lines(gathered), cut=False)
    records = [present.change(change) for change in look.changes]
    return found, partial(render.emit, records, _COLUMNS, arguments.format, headers=not arguments.no_headers)


def _print(lines: Iterator[str], *, cut: bool) -> None:
    wide = terminal.width() if cut else None
    for line in lines:
        print(line if wide is None else terminal.cut(line, wide))


def _emit_numbers(summary: present.Record, arguments: argparse.Namespace) -> None:
    if arguments.format in ("json", "yaml"):
        render.emit([summary], (), arguments.format, one=True)
        return
    rows = [{"what": "group", "name": each["group"], **each} for each in summary["groups"]]
    rows += [{"what": "folder", "name": each["folder"], **each} for each in summary["folders"]]
    rows += [{"what": what, "name": None, **summary[what]} for what in ("noise", "same")]
    if arguments.format == "table":
        rows = [{**row, "size": format_size(row["size"])} for row in rows if row["changes"]]
    render.emit(rows, _NUMBERS, arguments.format, headers=not arguments.no_headers)
