"""A machine's system as a new master."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from skinnybox.api.forms import Begun, Given, MachineName, Reference, Told, begun
from skinnybox.errors import UsageError
from skinnybox.fleet import present_promotion
from skinnybox.gate import reach
from skinnybox.gate.principal import WholeOperator
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation

router = APIRouter(tags=["machines"])
Path = Annotated[str, Field(min_length=2, max_length=4096, pattern="^/")]
Paths = Annotated[tuple[Path, ...], Field(max_length=100)]


class Promoted(Given):
    master: Reference
    """NAME or NAME:VERSION; the version defaults to today's date."""
    as_layer: bool = False
    """A layer for its master instead, called so, of what is the machine's own alone."""
    paths: Paths = ()
    """With `as_layer`: absolute paths, the only ones looked at. What no layer may hold there is an error."""
    keep: Paths = ()
    """Absolute paths at which nothing is left out but what no master has."""
    leave_out: Paths = ()
    """Absolute paths of which the new master has what the old one has."""
    live: bool = False
    """Also while it runs: of one point in time, as a power cut would leave it."""


class LeftOutForm(Told):
    reason: str
    what: str
    """`left out`; `in part` of a file that comes without some of its lines."""
    path: str | None
    files: int
    size: int


class PromotionForm(Told):
    follows: str
    """The master whose account numbers it keeps, or above which the layer lies."""
    layers: list[str]
    """Its layers, whose files go there too; none go into a layer."""
    left_out: list[LeftOutForm]
    data: list[str]
    """Folders of its data disk, which is not taken along."""
    live: bool


@router.get("/machines/{name}/promotion", response_model=PromotionForm)
def show_promotion(
    request: Request, who: WholeOperator, name: MachineName,
    keep: Annotated[Paths, Query()] = (), leave_out: Annotated[Paths, Query()] = (),
    live: bool = False, as_layer: bool = False, paths: Annotated[Paths, Query()] = (),
) -> Any:  # fmt: skip
    """What of its own a master of it, or a layer, would be without."""
    fleet = fleet_of(request)
    source = reach.machine(fleet, who, name).name
    with reading():
        return present_promotion.promotion(
            fleet.deltas.would_promote(
                source, as_layer=as_layer, paths=paths, keep=keep, leave_out=leave_out, live=live
            )
        )


@router.post("/machines/{name}/promotion", status_code=202, response_model=Begun)
def promote(
    request: Request, response: Response, who: WholeOperator, name: MachineName, body: Promoted
) -> Any:
    """Seal a master of what a stopped one has, without who it is, what its seed brought, and what it left
    behind while it ran. The machine stays as it is."""
    fleet = fleet_of(request)
    source = reach.machine(fleet, who, name).name
    if body.paths and not body.as_layer:
        raise UsageError("paths are chosen for a layer", hint="say as_layer, or leave_out what is not wanted")

    def act(names: list[str], operation: Operation) -> object:
        asked: dict[str, Any] = {"keep": body.keep, "leave_out": body.leave_out, "live": body.live}
        if body.as_layer:
            return fleet.deltas.promote_layer(source, body.master, operation, paths=body.paths, **asked)
        return fleet.deltas.promote(source, body.master, operation, **asked)

    job, _ = reach.begin(fleet, who, "promote", [source], act)
    return begun(response, job, "promote", [source])
