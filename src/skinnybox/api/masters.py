"""Masters: which there are, what they consist of, and making and removing them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from skinnybox.api.forms import (
    Begun,
    Given,
    MasterReference,
    Page,
    Paged,
    Reference,
    Told,
    begun,
)
from skinnybox.fleet import present, present_systems
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Principal, Viewer, WholeAdmin, WholeOperator
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.model import Master

router = APIRouter(tags=["masters"])


class ImageForm(Told):
    kind: str
    size: int
    digest: str
    uuid: str
    file: str


class MasterForm(Told):
    master: str
    """NAME:VERSION."""
    id: str
    os: str
    architecture: str
    kernel: str
    image: int
    """Bytes of the first of its images, as all that begins with `image_` is of that."""
    image_kind: str
    image_digest: str
    image_uuid: str
    images: list[ImageForm]
    tree: int
    entries: int
    machines: list[str]
    """Those that boot from it."""
    created: str
    placed: list[str]
    left_out: list[str]
    made_from: str | None
    """The master of the machine that it was made of."""


class PackageForm(Told):
    package: str
    version: str
    architecture: str | None
    status: str | None


class SystemForm(Told):
    """`packages` is null where they are unknown; `trouble` says what could not be understood."""

    release: dict[str, str]
    manager: str | None
    packages: list[PackageForm] | None
    users: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    units: list[dict[str, Any]]
    alternatives: list[dict[str, Any]]
    diversions: list[dict[str, Any]]
    trouble: list[str]


class DifferenceForm(Told):
    what: str
    change: str
    name: str | None
    before: str | None
    after: str | None
    files: dict[str, int] | None
    package: str | None


class GarbageForm(Told):
    name: str
    size: int


class Keep(Given):
    keep: Annotated[int, Field(ge=0, le=10_000)] = 1
    """So many of each name stay, the newest."""


def _form(fleet: Fleet, who: Principal, master: Master) -> dict[str, Any]:
    """Without where it lies; of the machines those that are reached."""
    found = present.master(fleet.masters, master)
    del found["folder"]
    if who.fleet is not None:
        theirs = set(reach.names(fleet, who))
        found["machines"] = [name for name in found["machines"] if name in theirs]
    return found


@router.get("/masters", response_model=Page[MasterForm])
def list_masters(
    request: Request, who: Viewer, window: Paged,
    name: Annotated[str | None, Query(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")] = None,
) -> Any:  # fmt: skip
    """All, or those of this name, the oldest of each name first."""
    fleet = fleet_of(request)
    found = [master for master in fleet.masters.all() if name in (None, master.name)]
    return window.page(found, lambda master: _form(fleet, who, master))


@router.get("/masters/{reference}", response_model=MasterForm)
def show_master(request: Request, who: Viewer, reference: MasterReference) -> Any:
    """NAME means its newest."""
    fleet = fleet_of(request)
    return _form(fleet, who, fleet.masters.find(reference))


@router.get("/masters/{reference}/system", response_model=SystemForm)
def show_system(request: Request, who: Viewer, reference: MasterReference) -> Any:
    """What it consists of: release, packages, accounts, units, alternatives, diversions."""
    with reading():
        return present_systems.system(fleet_of(request).masters.system(reference))


@router.get("/masters/{reference}/differences", response_model=Page[DifferenceForm])
def list_differences(
    request: Request, who: Viewer, window: Paged, reference: MasterReference,
    to: Annotated[Reference, Query()], files: bool = False,
) -> Any:  # fmt: skip
    """What `to` has otherwise than this one; with `files` each file as well."""
    with reading():
        found = fleet_of(request).masters.differences(reference, to, paths=files)
    return window.page(found, present_systems.difference)


@router.post("/masters/{reference}/verify", status_code=202, response_model=Begun)
def verify_master(
    request: Request, response: Response, who: WholeOperator, reference: MasterReference
) -> Any:
    """Read every byte of it, and compare with what was sealed."""
    fleet = fleet_of(request)
    named = [fleet.masters.find(reference).reference]
    job = fleet.background.begin(
        who.actor, "master verify", named, lambda op: fleet.masters.verify(reference, op)
    )
    return begun(response, job, "master verify", named)


@router.delete("/masters/{reference}", status_code=202, response_model=Begun)
def remove_master(request: Request, response: Response, who: WholeAdmin, reference: MasterReference) -> Any:
    """Refused while a machine boots from it."""
    fleet = fleet_of(request)
    named = [fleet.masters.find(reference).reference]
    job = fleet.background.begin(who.actor, "master remove", named, lambda _: fleet.masters.remove(reference))
    return begun(response, job, "master remove", named)


@router.get("/garbage", response_model=Page[GarbageForm])
def list_garbage(
    request: Request, who: WholeAdmin, window: Paged, keep: Annotated[int, Query(ge=0, le=10_000)] = 1
) -> Any:
    """Masters that no machine boots from, but for the `keep` newest of each name; and dead work."""
    with reading():
        found = fleet_of(request).masters.garbage(keep=keep)
    return window.page(found, lambda item: {"name": item.name, "size": item.size})


@router.post("/garbage/collect", status_code=202, response_model=Begun)
def collect_garbage(request: Request, response: Response, who: WholeAdmin, body: Keep) -> Any:
    """Remove what the list of garbage tells."""
    fleet = fleet_of(request)
    found = fleet.masters.garbage(keep=body.keep)
    named = [item.name for item in found]
    job = fleet.background.begin(who.actor, "master gc", named, lambda _: fleet.masters.collect(found))
    return begun(response, job, "master gc", named)
