"""A machine as another: further ones made of it, and one called otherwise."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import UsageError
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation
from skinnybox.web import render
from skinnybox.web.forms import Posted, listed, text
from skinnybox.web.one import one

router = APIRouter()


@router.post("/machines/{name}/copies")
def copy(request: Request, who: Operator, name: str, form: Posted) -> Response:
    """It may run: then they have what it made its own of one point in time."""
    one(request, who, name)
    fleet, data = fleet_of(request), bool(text(form, "data"))
    patterns = " ".join(listed(form, "names")).split()
    if not patterns:
        raise UsageError("the copies have no name", hint="web-02, or web-{02..04}")

    def act(names: list[str], operation: Operation) -> object:
        return fleet.deltas.copy(name, patterns, operation, data=data)

    number, _ = reach.begin(fleet, who, "copy", [name], act)
    return render.moved(request, f"/jobs/{number}")


@router.post("/machines/{name}/name")
def rename(request: Request, who: Operator, name: str, form: Posted) -> Response:
    one(request, who, name)
    fleet, new = fleet_of(request), text(form, "name")
    if not new:
        raise UsageError("it has no other name yet", hint="say what it is to be called")

    def act(names: list[str], operation: Operation) -> object:
        return [fleet.deltas.rename(name, new, operation)]

    number, _ = reach.begin(fleet, who, "rename", [name], act)
    return render.moved(request, f"/jobs/{number}")
