"""What rebase does without --dry-run, and the way back."""

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from skinnybox.cli import options, render, report
from skinnybox.cli.progress import shown
from skinnybox.fleet import asked, present_rebase
from skinnybox.fleet.batch import worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.rebase_run import Moved
    from skinnybox.fleet.rebases import Wishes

_COLUMNS = ("name", "from", "onto", "state", "kept", "reason")


def rebase(arguments: argparse.Namespace, wishes: "Wishes") -> int:
    from skinnybox.fleet.rebase_replay import check_commands
    from skinnybox.fleet.rebase_rollout import OnFail, Rollout

    how = Rollout(
        check=arguments.check,
        timeout=arguments.timeout,
        wait=not arguments.no_wait,
        start=not arguments.no_start,
        max_unavailable=arguments.max_unavailable,
        keep=None if arguments.keep is None else timedelta(days=arguments.keep),
        on_fail=OnFail(arguments.on_fail),
        after=check_commands(tuple(arguments.after), replay=wishes.replay),
    )
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.rebases.run(arguments.names, arguments.onto, wishes, how, operation)
    return _end(arguments, results)


def commit(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        names = asked.passing(fleet.machines(arguments.names), asked.committable)
        options.confirm_for(arguments, names, "delete what {} were before their rebase")
        with shown(arguments.quiet) as operation:
            results = fleet.rebases.commit(arguments.names, operation)
    return _end(arguments, results)


def roll_back(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        results = fleet.rebases.rollback(arguments.names, operation)
    return _end(arguments, results)


def _end(arguments: argparse.Namespace, results: "Sequence[Outcome[Moved]]") -> int:
    """A table of all of them when all is over; of errors the words that help besides."""
    people = arguments.format == "table"
    if not (people and arguments.quiet):
        records = [present_rebase.moved(result) for result in results]
        if people:
            records = [{**each, "reason": None} if each["state"] == "failed" else each for each in records]
        render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    for result in results:
        if result.error is not None:
            report.say(result.error, result.name)
    return worst(results)
