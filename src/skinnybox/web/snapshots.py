"""A machine's snapshots: kept, put back, deleted. Each is a job; what cannot be taken back is asked for
again."""

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import UsageError
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator, Viewer
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation
from skinnybox.web import render
from skinnybox.web.changes import tabs
from skinnybox.web.forms import Posted, text
from skinnybox.web.machine import head
from skinnybox.web.one import one

router = APIRouter()
_WORDS = {"restore": "Put back", "delete": "Delete"}


@router.get("/machines/{name}/snapshots")
def snapshots(request: Request, who: Viewer, name: str) -> Response:
    found = one(request, who, name)
    kept = [snapshot for _, snapshot in fleet_of(request).overlays.snapshots([name])]
    return render.page(request, "snapshots.html", kept=kept, **head(request, found), **tabs("snapshots"))


@router.post("/machines/{name}/snapshots")
def take(request: Request, who: Operator, name: str, form: Posted) -> Response:
    fleet, label, data = fleet_of(request), text(form, "label") or None, bool(text(form, "data"))
    one(request, who, name)
    number, _ = reach.begin(
        fleet, who, "snapshot", [name],
        lambda names, operation: fleet.overlays.snapshot(names, label, operation, data=data),
    )  # fmt: skip
    return render.moved(request, f"/jobs/{number}")


@router.post("/machines/{name}/snapshots/do")
def do(request: Request, who: Operator, name: str, form: Posted) -> Response:
    """Whoever typed the machine's name has read what is lost."""
    found, what, label = one(request, who, name), text(form, "do"), text(form, "label")
    if what not in _WORDS:
        raise UsageError(f"{what!r:.40} cannot be done with snapshots")
    fleet = fleet_of(request)
    kept = fleet.overlays.kept(found, label)
    if text(form, "typed") != name:
        return render.page(
            request, "snapshot_sure.html", status=400 if text(form, "typed") else 200, what=what, kept=kept,
            word=_WORDS[what], wrong=text(form, "typed"), **head(request, found), **tabs("snapshots"),
        )  # fmt: skip
    verb = "restore" if what == "restore" else "snapshot delete"
    number, _ = reach.begin(
        fleet, who, verb, [name], lambda names, operation: _done(fleet, what, names, form, operation)
    )
    return render.moved(request, f"/jobs/{number}")


def _done(fleet: Fleet, what: str, names: list[str], form: FormData, operation: Operation) -> object:
    label = text(form, "label")
    if what == "restore":
        return fleet.overlays.restore(names, label, operation, data=bool(text(form, "data")))
    return fleet.overlays.delete_snapshot(names, label, operation)
