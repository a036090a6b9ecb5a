"""A machine as another: further ones made of it, and one called otherwise."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from skinnybox.api.forms import Begun, Given, MachineName, Patterns, begun
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation

router = APIRouter(tags=["machines"])


class Copies(Given):
    names: Patterns
    """Of the new ones: names, or patterns that make them."""
    data: bool = False
    """Also what its data disk holds; else theirs are fresh."""


class Renamed(Given):
    name: Annotated[str, Field(min_length=1, max_length=63)]


@router.post("/machines/{name}/copies", status_code=202, response_model=Begun)
def copy(request: Request, response: Response, who: Operator, name: MachineName, body: Copies) -> Any:
    """Make further machines that have what it made its own, each with its own identity. It may run: then they
    have that of one point in time. Forwarded ports are not copied."""
    fleet = fleet_of(request)
    source = reach.machine(fleet, who, name).name

    def act(names: list[str], operation: Operation) -> object:
        return fleet.deltas.copy(source, body.names, operation, data=body.data)

    job, _ = reach.begin(fleet, who, "copy", [source], act)
    return begun(response, job, "copy", [source])


@router.post("/machines/{name}/name", status_code=202, response_model=Begun)
def rename(request: Request, response: Response, who: Operator, name: MachineName, body: Renamed) -> Any:
    """Call a stopped one otherwise. Who it is stays; its hostname follows where it was its name."""
    fleet: Fleet = fleet_of(request)
    source = reach.machine(fleet, who, name).name

    def act(names: list[str], operation: Operation) -> object:
        return [fleet.deltas.rename(source, body.name, operation)]

    job, _ = reach.begin(fleet, who, "rename", [source], act)
    return begun(response, job, "rename", [source])
