"""One machine: what it is and what it boots from, what it made its own, its snapshots and its past."""

import contextlib
from typing import Any, NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet import present
from skinnybox.fleet.jobs import Condition, Job, Wanted
from skinnybox.fleet.view import MachineView
from skinnybox.gate import reach
from skinnybox.gate.principal import Principal, Viewer
from skinnybox.gate.served import fleet_of
from skinnybox.web import looking, render, rows
from skinnybox.web.changes import tabs
from skinnybox.web.kept_trees import kept_trees
from skinnybox.web.one import one

router = APIRouter()
BY_ITSELF = 2 << 30
"""Bytes that a machine has written. Where it is more, what it made its own is read when somebody asks."""
_EVENTS = 100
_RUNS = frozenset({"ready", "starting", "mismatch", "stalled", "paused", "suspended"})


@router.get("/machines/{name}")
def machine(request: Request, who: Viewer, name: str) -> Response:
    if render.is_part(request, "condition"):
        seen = head(request, looking.machine(request, who, name))
        return render.part(request, "machine.html", "condition", **seen)
    found = one(request, who, name)
    look = kept_trees(request).kept(found)
    master = None
    with contextlib.suppress(SkinnyboxError):  # a machine is shown, also where its master is gone or damaged
        master = fleet_of(request).masters.by_id(found.instance.stack.master)
    return render.page(
        request, "machine.html", by_itself=(found.written or 0) <= BY_ITSELF,
        look=look, place=look.tree.root if look else None, master=master,
        **head(request, found), **tabs("machine"),
    )  # fmt: skip


def head(request: Request, found: MachineView) -> dict[str, Any]:
    successors = fleet_of(request).masters.successors()
    return {
        "machine": found,
        "row": rows.row_of(found, successors),
        "facts": present.machine(found, successors),
        "runs": str(found.condition) in _RUNS,
    }


@router.get("/machines/{name}/history")
def history(request: Request, who: Viewer, name: str) -> Response:
    """What happened to it, and what was asked for, the newest first."""
    found = one(request, who, name)
    events = [event for event in fleet_of(request).events([name]) if event.uuid == found.instance.uuid]
    return render.page(
        request, "history.html", events=events[: -_EVENTS - 1 : -1], asked=_asked(request, who, name),
        **head(request, found), **tabs("history"),
    )  # fmt: skip


class Asked(NamedTuple):
    """A job, and what became of this machine in it: a batch may have failed for others."""

    job: Job
    condition: Condition
    error: str | None


def _asked(request: Request, who: Principal, name: str) -> list[Asked]:
    jobs = reach.jobs(fleet_of(request), who, Wanted(machine=name), _EVENTS)
    return [_of(job, name) for job in jobs]


def _of(job: Job, name: str) -> Asked:
    for result in job.results:
        if result.name == name:
            done = Condition.DONE if result.error is None else Condition.FAILED
            return Asked(job, done, result.error)
    return Asked(job, job.condition, job.error)
