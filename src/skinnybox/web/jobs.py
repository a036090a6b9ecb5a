"""What was asked for: all of it, one piece of it with its machines and its log, and an end of it."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.fleet.jobs import Condition, Job
from skinnybox.fleet.tokens import Role
from skinnybox.fleet.view import MachineView
from skinnybox.gate import reach
from skinnybox.gate.principal import NotAllowed, Operator, Principal, Viewer
from skinnybox.gate.served import fleet_of
from skinnybox.printable import printable
from skinnybox.web import looking, render, rows
from skinnybox.web.forms import Posted
from skinnybox.web.jobs_filter import asked, done, page_of, took
from skinnybox.web.rollout import ROLLOUTS, rollout_map

router = APIRouter()
Number = Annotated[int, Path(ge=1, le=1 << 53)]
LIST, ONE = "jobs.html", "job.html"
SUBJECTS = 200
"""Machines of a job that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One machine of a job. `machine` is how it is now, None where there is none of that name; `ended`:
    what became of it is known, and `error` what went wrong."""

    name: str
    machine: MachineView | None
    ended: bool
    error: str | None


@router.get("/jobs")
def all_jobs(request: Request, who: Viewer) -> Response:
    """The newest first, a page of them at a time."""
    wanted = asked(request.query_params)
    values: dict[str, Any] = {
        "found": page_of(fleet_of(request), who, wanted),
        "filter": wanted,
        "took": took,
    }
    if render.is_part(request, "list"):
        return render.part(request, LIST, "list", **values)
    return render.page(request, LIST, **values)


@router.get("/jobs/{number}")
def one(request: Request, number: Number, who: Viewer, after: int = 0) -> Response:
    """For the page's own looking again only what has changed: how far it is, and the log behind `after`
    characters."""
    job = reach.job(fleet_of(request), who, number)
    running = job.condition is Condition.RUNNING
    values: dict[str, Any] = {
        "job": job,
        "running": running,
        "done": done(job),
        "may_cancel": who.role >= Role.OPERATOR and reach.may_cancel(who, job),
        "subjects": _subjects(request, who, job, running),
        "more": max(0, len(_names(job)) - SUBJECTS),
        "took": took,
        "tone": rows.tone,
        "map": None,
        "log": printed(job.log),
        "new_log": printed(job.log[max(0, after) :]),
    }
    if job.verb in ROLLOUTS:
        values["map"] = rollout_map(job, [each.machine for each in values["subjects"] if each.machine])
    if render.is_part(request, "job"):
        return render.part(request, ONE, "job", again=True, **values)
    return render.page(request, ONE, again=False, **values)


@router.post("/jobs/{number}/cancel")
def cancel(request: Request, number: Number, form: Posted, who: Operator) -> Response:
    fleet = fleet_of(request)
    found = reach.job(fleet, who, number)
    if not reach.may_cancel(who, found):
        raise NotAllowed(f"to end {found.verb} needs the role admin")
    fleet.jobs.cancel(number)
    return render.moved(request, f"/jobs/{number}", "It was asked to end.")


def _names(job: Job) -> list[str]:
    """Of what has ended the machines of which it is known; before that what it was asked for."""
    return [result.name for result in job.results] or list(job.subjects)


def _subjects(request: Request, who: Principal, job: Job, running: bool) -> list[Subject]:
    """Nothing where none of them is a machine's name: what was done to masters, files and tokens."""
    names = _names(job)[:SUBJECTS]
    there = {machine.name: machine for machine in _machines(request, who, names, running)}
    errors = {result.name: result.error for result in job.results}
    if not there and not errors:
        return []
    return [
        Subject(name=name, machine=there.get(name), ended=name in errors, error=errors.get(name))
        for name in names
    ]


def _machines(request: Request, who: Principal, names: list[str], running: bool) -> list[MachineView]:
    """Those of them that are there. While the job goes on many look again and again, and a look for all of
    them is good enough; how it ended stays on the page."""
    wanted = set(names)
    if running:
        return [machine for machine in looking.machines(request, who) if machine.name in wanted]
    fleet = fleet_of(request)
    known = wanted & set(fleet.names())
    if who.fleet is None:
        return fleet.machines(sorted(known)) if known else []
    return [machine for machine in reach.machines(fleet, who) if machine.name in known]


def printed(log: str) -> str:
    """Without what would turn the direction of text, or hide some of it."""
    return "\n".join(map(printable, log.split("\n")))
