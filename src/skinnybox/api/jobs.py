"""Jobs: every change that somebody asked for, and the audit of who did."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from skinnybox.api.forms import Page, Paged, Told, Window
from skinnybox.fleet.jobs import Condition, Job, Wanted
from skinnybox.fleet.present_jobs import job as form
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate import reach
from skinnybox.gate.principal import NotAllowed, Operator, Principal, Viewer, WholeAdmin
from skinnybox.gate.served import fleet_of

router = APIRouter(tags=["jobs"])

States = Annotated[list[Condition], Query(default_factory=list)]
Number = Annotated[int, Path(ge=1, le=1 << 53)]
Word = Annotated[str, Query(min_length=1, max_length=100)]


class ResultForm(Told):
    name: str
    error: str | None
    """null: it is done."""


class JobRow(Told):
    job: int
    verb: str
    subjects: list[str]
    state: Condition
    actor: str
    origin: str | None
    """From where it was asked for; null for who is no admin."""
    begun: str
    ended: str | None
    error: str | None
    done: int
    """Machines."""
    failed: int


class JobForm(JobRow):
    step: dict[str, Any] | None
    """How far it is: task, done, total, unit, detail."""
    results: list[ResultForm]
    log: str


def _row(job: Job, who: Principal) -> dict[str, Any]:
    found = form(job)
    failed = sum(result.error is not None for result in job.results)
    if who.role is not Role.ADMIN:
        found["origin"] = None
    return {**found, "done": len(job.results) - failed, "failed": failed}


def _page(fleet: Fleet, who: Principal, window: Window, wanted: Wanted) -> dict[str, Any]:
    """The database chooses: who looks every second must not have all of them read each time."""
    found = reach.jobs(fleet, who, wanted, window.limit, window.offset)
    total = fleet.jobs.count(reach.knowable(fleet, who, wanted))
    return window.part([_row(job, who) for job in found], total)


@router.get("/jobs", response_model=Page[JobRow])
def list_jobs(
    request: Request, who: Viewer, window: Paged, state: States,
    verb: Word | None = None, actor: Word | None = None, machine: Word | None = None,
) -> Any:  # fmt: skip
    """Those that are kept, about 10,000, the latest first."""
    wanted = Wanted(states=tuple(state), verb=verb, actor=actor, machine=machine)
    return _page(fleet_of(request), who, window, wanted)


@router.get("/jobs/{number}", response_model=JobForm)
def show_job(request: Request, who: Viewer, number: Number) -> Any:
    """All that is known of it: how far it is, what it said, what became of each machine."""
    return _row(reach.job(fleet_of(request), who, number), who)


@router.post("/jobs/{number}/cancel", status_code=202, response_model=JobForm)
def cancel_job(request: Request, who: Operator, number: Number) -> Any:
    """Ask that it ends where nothing is lost. How it ended, the job tells."""
    fleet = fleet_of(request)
    found = reach.job(fleet, who, number)
    if not reach.may_cancel(who, found):
        raise NotAllowed(f"to end {found.verb} needs the role admin")
    fleet.jobs.cancel(number)
    return _row(reach.job(fleet, who, number), who)


@router.get("/audit", response_model=Page[JobRow], tags=["audit"])
def list_audit(
    request: Request, who: WholeAdmin, window: Paged, actor: Word | None = None, verb: Word | None = None,
    machine: Word | None = None,
) -> Any:  # fmt: skip
    """Who asked for what, from where, and what came of it; the latest first."""
    return _page(fleet_of(request), who, window, Wanted(verb=verb, actor=actor, machine=machine))
