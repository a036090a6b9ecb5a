"""The list of machines, and what is done to several of them at once."""

from functools import cache
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.fleet.view import Condition, MachineView
from skinnybox.gate.principal import Viewer
from skinnybox.gate.served import fleet_of
from skinnybox.web import looking, render, rows
from skinnybox.web.listing import Listed, Query, listed, query_of, why_not

router = APIRouter()


@router.get("/machines")
def machines(request: Request, who: Viewer) -> Response:
    """The machines are looked at before anything is sent; what of them is shown is made while the frame of
    the page is on its way."""
    query, everything = query_of(request.query_params), looking.machines(request, who)
    contents = cache(lambda: _contents(request, query, everything))
    if render.is_part(request, "rows"):
        if request.query_params.get("seen") == contents()["seen"]:  # then nothing of the page moves
            return Response(status_code=204, headers=render.HEADERS)
        return render.part(request, "machines.html", "rows", contents=contents)
    if render.is_part(request, "list"):
        return render.part(request, "machines.html", "list", contents=contents)
    return render.streamed(request, "machines.html", contents=contents)


def _contents(request: Request, query: Query, everything: list[MachineView]) -> dict[str, Any]:
    wrong = why_not(query)
    shown = Listed(query=query, machines=(), found=0) if wrong else listed(everything, query)
    made = rows.rows_of(shown.machines, fleet_of(request).masters.successors())
    return {
        "list": shown,
        "rows": made,
        "seen": rows.digest(made),
        "wrong": wrong,
        "total": len(everything),
        "at_once": fleet_of(request).boots_at_once,
        "states": [str(condition) for condition in Condition],
        "masters": sorted({machine.instance.stack.reference for machine in everything}),
        "fleets": sorted({machine.instance.fleet or "-" for machine in everything}),
    }
