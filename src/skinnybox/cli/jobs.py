"""jobs list, show, follow, cancel."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from skinnybox.cli import numbers, options, render, report
from skinnybox.cli.progress import shown, text
from skinnybox.errors import Cancelled, SkinnyboxError, UsageError
from skinnybox.fleet import present_jobs
from skinnybox.operation import Step
from skinnybox.printable import printable

if TYPE_CHECKING:
    from skinnybox.fleet.jobs import Job

_COLUMNS = ("job", "verb", "subjects", "state", "actor", "begun", "ended")
_LAST = 20


def add_to(commands: options.Commands) -> None:
    nouns = options.group(commands, "jobs", "list, follow and end what was asked for, by whoever")
    parser = options.command(
        nouns, "list", _list, "list the latest jobs: every command that changes something, and who asked",
        "About 10,000 are kept.",
    )  # fmt: skip
    parser.add_argument("-n", "--last", metavar="N", type=numbers.count, default=_LAST,
        help=f"so many of them (default {_LAST})")  # fmt: skip
    parser.add_argument("--running", action="store_true", help="only those that go on")
    options.add_format(parser)

    parser = options.command(nouns, "show", _show, "show all that is known of a job")
    _add_job(parser)
    options.add_format(parser)

    parser = options.command(
        nouns, "follow", _follow, "tell how far a job is, until it has ended",
        "The exit code is 0 when it is done, 1 when it failed or was interrupted, 130 when somebody "
        "cancelled it.",
    )  # fmt: skip
    _add_job(parser)
    parser.add_argument("--format", choices=("table", "json"), default="table", help="json: one a line")

    parser = options.command(
        nouns, "cancel", _cancel, "ask that a job ends where nothing is lost, as Ctrl-C does",
        "`jobs follow` tells how it ended.",
    )  # fmt: skip
    _add_job(parser)


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="its number, as `jobs list` tells it")


def _number(arguments: argparse.Namespace) -> int:
    try:
        return numbers.count(arguments.job)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"a job is told by its number: {error}", hint="skinnybox jobs list") from error


def _list(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        found = fleet.jobs.all(arguments.last, running=arguments.running)
    records = [present_jobs.job(job) for job in found]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        job = fleet.jobs.one(_number(arguments))
    record = present_jobs.job(job)
    if arguments.format != "table":
        render.emit([record], _COLUMNS, arguments.format, headers=not arguments.no_headers, one=True)
        return 0
    render.pairs({**record, "step": _step(job), "results": _results(job), "log": job.log.splitlines()})
    return 0


def _results(job: "Job") -> list[str]:
    """What went wrong, by machine; what is done only as a number."""
    bad = [f"{result.name}: {result.error}" for result in job.results if result.error is not None]
    good = len(job.results) - len(bad)
    return [*([f"{good} done"] if good else []), *bad]


def _step(job: "Job") -> str | None:
    return text(Step(**job.step)) if job.step else None


def _follow(arguments: argparse.Namespace) -> int:
    last = None
    with options.fleet(arguments) as fleet, shown(quiet=True) as operation:
        for job in fleet.jobs.followed(_number(arguments), operation):
            if arguments.format == "json":
                print(json.dumps(present_jobs.job(job)))
            elif (line := _step(job)) and line != last:
                print(printable(line))
                last = line
            sys.stdout.flush()
    if arguments.format == "table":
        print(f"job {job.number}: {job.condition}")
    return _code(job)


def _code(job: "Job") -> int:
    return {"done": 0, "cancelled": Cancelled.exit_code}.get(job.condition, SkinnyboxError.exit_code)


def _cancel(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        job = fleet.jobs.cancel(_number(arguments))
    report.done(f"job {job.number}: asked to end")
    return 0
