"""A machine as another: further ones made of it, one called otherwise, one made again of an export."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from skinnybox.api.building import ServerPath
from skinnybox.api.forms import Begun, Given, MachineName, Patterns, begun
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Operator, WholeAdmin
from skinnybox.gate.served import fleet_of
from skinnybox.model import ranges
from skinnybox.operation import Operation

router = APIRouter(tags=["machines"])


class Copies(Given):
    names: Patterns
    """Of the new ones: names, or patterns that make them."""
    data: bool = False
    """Also what its data disk holds; else theirs are fresh."""


class Renamed(Given):
    name: Annotated[str, Field(min_length=1, max_length=63)]


class Restoration(Given):
    name: Annotated[str, Field(min_length=1, max_length=63)]
    sources: Annotated[list[ServerPath], Field(min_length=1, max_length=64)]
    """Files of the server: a whole export, then increments in the order they were made."""
    overlay: Annotated[int, Field(ge=ranges.OVERLAY.least, le=ranges.OVERLAY.most)] | None = None
    """Bytes of its overlay; null: as many as it had."""
    new_identity: bool = False
    """As another machine, as a copy is."""


@router.post("/restores", status_code=202, response_model=Begun)
def restore(request: Request, response: Response, who: WholeAdmin, body: Restoration) -> Any:
    """Make a machine again of what `export` wrote, which lies on the server: so for admins alone."""
    fleet = fleet_of(request)
    wanted = Restore(
        sources=tuple(map(Path, body.sources)), overlay=body.overlay, new_identity=body.new_identity
    )
    job = fleet.background.begin(
        who.actor, "create", [body.name], lambda op: [fleet.deltas.restore(body.name, wanted, op)]
    )
    return begun(response, job, "create", [body.name])


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
