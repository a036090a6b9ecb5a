"""The list of machines, and what is done to several of them at once."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.fleet.view import Condition, MachineView
from skinnybox.gate import looking
from skinnybox.gate.principal import Principal, Viewer
from skinnybox.gate.served import fleet_of
from skinnybox.web import render, rows
from skinnybox.web.listing import Listed, listed, query_of, why_not

router = APIRouter()


@router.get("/machines")
def machines(request: Request, who: Viewer) -> Response:
    query = query_of(request.query_params)
    wrong = why_not(query)
    everything = looking.machines(request, who)
    shown = Listed(query=query, machines=(), found=0) if wrong else listed(everything, query)
    if render.is_part(request, "rows"):
        return _renewed(request, shown)
    values = {"list": shown, "wrong": wrong, "total": len(everything), **_choices(request, who, everything)}
    if render.is_part(request, "list"):
        return render.part(request, "machines.html", "list", **values, **_table(request, shown))
    return render.page(request, "machines.html", **values, **_table(request, shown))


def _renewed(request: Request, shown: Listed) -> Response:
    """The rows alone; nothing, when they are as the page has them: then nothing of it moves."""
    values = _table(request, shown)
    if request.query_params.get("seen") == values["seen"]:
        return Response(status_code=204, headers=render.HEADERS)
    return render.part(request, "machines.html", "rows", list=shown, **values)


def _table(request: Request, shown: Listed) -> dict[str, Any]:
    made = rows.rows_of(shown.machines, fleet_of(request).masters.successors())
    return {"rows": made, "seen": rows.digest(made)}


def _choices(request: Request, who: Principal, machines: list[MachineView]) -> dict[str, Any]:
    return {
        "states": [str(condition) for condition in Condition],
        "masters": sorted({machine.instance.stack.reference for machine in machines}),
        "fleets": sorted({machine.instance.fleet or "-" for machine in machines}),
    }
