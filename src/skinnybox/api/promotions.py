"""A machine's system as a new master."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from skinnybox.api.forms import Begun, Given, MachineName, Reference, Told, begun
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
    """The master whose account numbers it keeps."""
    layers: list[str]
    """Its layers, whose files go there too."""
    left_out: list[LeftOutForm]
    data: list[str]
    """Folders of its data disk, which is not taken along."""
    live: bool


@router.get("/machines/{name}/promotion", response_model=PromotionForm)
def show_promotion(
    request: Request, who: WholeOperator, name: MachineName,
    keep: Annotated[Paths, Query()] = (), leave_out: Annotated[Paths, Query()] = (),
    live: bool = False,
) -> Any:  # fmt: skip
    """What of its own a master of it would be without."""
    fleet = fleet_of(request)
    source = reach.machine(fleet, who, name).name
    with reading():
        return present_promotion.promotion(
            fleet.deltas.would_promote(source, keep=keep, leave_out=leave_out, live=live)
        )


@router.post("/machines/{name}/promotion", status_code=202, response_model=Begun)
def promote(
    request: Request, response: Response, who: WholeOperator, name: MachineName, body: Promoted
) -> Any:
    """Seal a master of what a stopped one has, without who it is, what its seed brought, and what it left
    behind while it ran. The machine stays as it is."""
    fleet = fleet_of(request)
    source = reach.machine(fleet, who, name).name

    def act(names: list[str], operation: Operation) -> object:
        return fleet.deltas.promote(
            source, body.master, operation, keep=body.keep, leave_out=body.leave_out, live=body.live
        )

    job, _ = reach.begin(fleet, who, "promote", [source], act)
    return begun(response, job, "promote", [source])
