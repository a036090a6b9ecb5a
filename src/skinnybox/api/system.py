"""The host and the state folder: what there is room for, whether all is fit, and putting it right."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from skinnybox.api.forms import Begun, Given, Told, begun
from skinnybox.fleet import present, present_capacity
from skinnybox.gate.principal import WholeAdmin, WholeViewer
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.sizes import GIB, MIB

router = APIRouter(tags=["system"])


class CapacityForm(Told):
    """Bytes, but for `machines`, `fit` and `fit_sparse`: how many more there is room for."""

    disk: int
    free: int
    masters: int
    machines: int
    promised: int
    written: int
    snapshots: int
    full_copies: int
    """What as many ordinary machines would have taken."""
    taken: int
    fit: int
    fit_size: int
    allocated: int
    owed: int
    fit_sparse: int | None
    sparse_each: int | None
    layers: int
    """Each once, however many machines have it."""
    system: int | None = None
    storages: list[dict[str, Any]] | None = None
    """Of a pool, what one more machine costs on each."""


class CheckForm(Told):
    check: str
    status: str
    """ok, note, warn or fail."""
    detail: str
    hint: str | None


class FindingForm(Told):
    deed: str
    """keep, or what repair does about it."""
    path: str
    what: str
    error: str | None


class Repair(Given):
    delete_orphans: bool = False
    """Remove overlays that no record belongs to."""
    forget: bool = False
    """Forget machines of which nothing is there, also most or all."""


@router.get("/capacity", response_model=CapacityForm)
def show_capacity(
    request: Request, who: WholeViewer, size: Annotated[int, Query(ge=MIB, le=1 << 50)] = GIB,
    machines: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Any:  # fmt: skip
    """What is promised, written and free, and how many more machines of this size fit."""
    return present_capacity.capacity(fleet_of(request).capacity(size), machines)


@router.get("/doctor", response_model=list[CheckForm])
def show_doctor(request: Request, who: WholeAdmin) -> Any:
    """Whether the host is fit, and what was left half done."""
    with reading():
        return [present.check(found) for found in fleet_of(request).upkeep.doctor()]


@router.get("/repair", response_model=list[FindingForm])
def show_repair(request: Request, who: WholeAdmin, delete_orphans: bool = False, forget: bool = False) -> Any:
    """What lies in the state folder and on the host, and what repairing would do about it."""
    with reading():
        seen = fleet_of(request).upkeep.examine(delete_orphans=delete_orphans, forget=forget)
    return [present.issue(finding) for finding in seen.findings]


@router.post("/repair", status_code=202, response_model=Begun)
def repair(request: Request, response: Response, who: WholeAdmin, body: Repair) -> Any:
    """Do what the list of it tells. Whatever may hold data stays, or is moved aside."""
    fleet = fleet_of(request)
    job = fleet.background.begin(
        who.actor, "repair", [],
        lambda op: fleet.upkeep.repair(
            delete_orphans=body.delete_orphans, forget=body.forget, operation=op
        ),
    )  # fmt: skip
    return begun(response, job, "repair", [])
