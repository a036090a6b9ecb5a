"""Layers: which there are, and making, verifying and removing them. Making one is for admins alone: it names
files of the server, and a recipe runs programs there."""

import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from skinnybox.api.building import ServerPath
from skinnybox.api.forms import Begun, Given, MasterReference, Page, Paged, Reference, Text, Told, begun
from skinnybox.api.masters import ImageForm
from skinnybox.fleet import present_layers, present_promotion
from skinnybox.fleet.making import LayerRecipe
from skinnybox.fleet.service import Fleet
from skinnybox.gate import limits, reach
from skinnybox.gate.downloads import download
from skinnybox.gate.principal import Principal, Viewer, WholeAdmin, WholeOperator
from skinnybox.gate.served import fleet_of
from skinnybox.model import MOST_LAYERS, Layer
from skinnybox.operation import Operation

router = APIRouter(tags=["layers"], max_body_size=limits.DOCUMENT_BODY)
LayerReference = MasterReference


class LayerForm(Told):
    layer: str
    """NAME:VERSION."""
    id: str
    master: str
    """What it was made for: it goes above every version of that name."""
    master_id: str
    only: bool
    """It goes above that very version alone."""
    architecture: str
    image: int
    """Bytes of the first of its images."""
    images: list[ImageForm]
    tree: int
    entries: int
    machines: list[str]
    """Those that have it."""
    created: str


class OfLayer(Given):
    """What a layer is called, and above what it lies."""

    reference: Reference
    """NAME or NAME:VERSION; the version is today's date otherwise."""
    above: Reference
    """The master that it is made for."""
    only: bool = False
    """It goes with that very version of the master and no other."""


class LayerImport(OfLayer):
    source: ServerPath
    """A folder, or a tar, packed or not, of the server: paths as in a guest."""
    at: ServerPath | None = None
    """The source's own root is this folder in a machine."""


class LayerBuild(OfLayer):
    recipe: Text
    """YAML with `copy` and `scripts`; relative paths count from `/`."""
    layers: Annotated[list[Reference], Field(max_length=MOST_LAYERS, default_factory=list)]
    """Layers that lie between, which its scripts need, from the lowest up."""
    network: bool = False
    """Its scripts have the network of the server."""


class ContentForm(Told):
    """What a layer would hold at a path, or would not."""

    reason: str | None
    """Why it is left out; null of what goes."""
    what: str
    """`goes`, `left out`, or `in part` of a file that comes without some of its lines."""
    path: str | None
    """null: further places, not told apart."""
    files: int
    size: int


def _recipe(body: LayerBuild) -> LayerRecipe:
    return LayerRecipe(text=body.recipe, layers=tuple(body.layers), only=body.only, network=body.network)


def _form(fleet: Fleet, who: Principal, layer: Layer, need: dict[str, list[str]]) -> dict[str, Any]:
    """Without where it lies; of the machines those that are reached."""
    machines = need.get(layer.id, [])
    if who.fleet is not None:
        theirs = set(reach.names(fleet, who))
        machines = [name for name in machines if name in theirs]
    found = present_layers.layer(fleet.layers, layer, machines)
    del found["folder"]
    return found


@router.get("/layers", response_model=Page[LayerForm])
def list_layers(
    request: Request, who: Viewer, window: Paged,
    name: Annotated[str | None, Query(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")] = None,
) -> Any:  # fmt: skip
    """All, or those of this name, the oldest of each name first."""
    fleet = fleet_of(request)
    found = [layer for layer in fleet.layers.all() if name in (None, layer.name)]
    need = fleet.layers.dependants()
    return window.page(found, lambda layer: _form(fleet, who, layer, need))


@router.post("/layers/imports", status_code=202, response_model=Begun)
def import_layer(request: Request, response: Response, who: WholeAdmin, body: LayerImport) -> Any:
    """Seal a folder or a tar, which lies on the server, as a layer."""
    layers = fleet_of(request).layers
    job = fleet_of(request).background.begin(
        who.actor, "layer import", [body.reference],
        lambda op: layers.import_tree(
            Path(body.source), body.reference, above=body.above, only=body.only, at=body.at, operation=op
        ),
    )  # fmt: skip
    return begun(response, job, "layer import", [body.reference])


@router.post("/layers/builds", status_code=202, response_model=Begun)
def build_layer(request: Request, response: Response, who: WholeAdmin, body: LayerBuild) -> Any:
    """Seal what a recipe makes on top of a master as a layer. Its scripts are shut in with that tree."""
    layers = fleet_of(request).layers
    recipe = _recipe(body)
    job = fleet_of(request).background.begin(
        who.actor, "layer build", [body.reference],
        lambda op: layers.build(body.reference, recipe, above=body.above, operation=op),
    )  # fmt: skip
    return begun(response, job, "layer build", [body.reference])


@router.post("/layers/builds/preview", response_model=list[ContentForm])
async def preview_layer(request: Request, who: WholeAdmin, body: LayerBuild) -> Response:
    """What a layer by that recipe would hold: its scripts run, and nothing is sealed. It is a job, and the
    answer comes once that is done; who goes away ends it."""
    layers = fleet_of(request).layers

    def write(output: int, operation: Operation) -> object:
        found = layers.would_build(body.reference, _recipe(body), above=body.above, operation=operation)
        with open(output, "w", closefd=False) as target:
            json.dump(present_promotion.contents(found), target)
        return None

    return await download(
        request, fleet_of(request).background, who.actor, "layer build --dry-run", body.reference, write,
        file=None, media="application/json",
    )  # fmt: skip


@router.get("/layers/{reference}", response_model=LayerForm)
def show_layer(request: Request, who: Viewer, reference: LayerReference) -> Any:
    """NAME means its newest."""
    fleet = fleet_of(request)
    return _form(fleet, who, fleet.layers.find(reference), fleet.layers.dependants())


@router.post("/layers/{reference}/verify", status_code=202, response_model=Begun)
def verify_layer(request: Request, response: Response, who: WholeOperator, reference: LayerReference) -> Any:
    """Read every byte of it, and compare with what was sealed."""
    fleet = fleet_of(request)
    named = [fleet.layers.find(reference).reference]
    job = fleet.background.begin(
        who.actor, "layer verify", named, lambda op: fleet.layers.verify(reference, op)
    )
    return begun(response, job, "layer verify", named)


@router.delete("/layers/{reference}", status_code=202, response_model=Begun)
def remove_layer(request: Request, response: Response, who: WholeAdmin, reference: LayerReference) -> Any:
    """Refused while a machine has it, or what is kept of one."""
    fleet = fleet_of(request)
    named = [fleet.layers.find(reference).reference]
    job = fleet.background.begin(who.actor, "layer remove", named, lambda _: fleet.layers.remove(reference))
    return begun(response, job, "layer remove", named)
