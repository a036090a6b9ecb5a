"""Layers: which there are, who has each, and making, verifying and removing them."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import UsageError
from skinnybox.fleet import present_promotion
from skinnybox.fleet.making import LayerRecipe
from skinnybox.gate import limits, reach
from skinnybox.gate.principal import Principal, Viewer, WholeAdmin, WholeOperator
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation
from skinnybox.sizes import format_size
from skinnybox.web import render
from skinnybox.web.batch import words
from skinnybox.web.begun import begun
from skinnybox.web.forms import Posted, text

router = APIRouter(max_body_size=limits.DOCUMENT_BODY)
SHOWN = 300
"""Rows of what would be in a layer that the page of a job tells."""
LIST, ONE, NEW, REMOVE = "layers.html", "layer.html", "new_layer.html", "remove_layer.html"


@router.get("/layers")
def layers(request: Request, who: Viewer) -> Response:
    """The newest first."""
    fleet = fleet_of(request)
    found = sorted(fleet.layers.all(), key=lambda each: each.created, reverse=True)
    return render.page(request, LIST, layers=found, dependants=_dependants(request, who))


@router.get("/layers/new")
def ask(request: Request, who: WholeAdmin) -> Response:
    masters = sorted(fleet_of(request).masters.all(), key=lambda each: each.created, reverse=True)
    return render.page(request, NEW, masters=masters)


@router.post("/layers/import")
def import_tree(request: Request, form: Posted, who: WholeAdmin) -> Response:
    """Of a folder or a tar that lies on the server: admins may say where."""
    reference, source, at = (text(form, key) for key in ("reference", "source", "at"))
    above, only = text(form, "above"), form.get("only") is not None

    def act(operation: Operation) -> object:
        if not source.startswith("/"):
            raise UsageError("what is imported is told by its whole path on the server")
        return fleet_of(request).layers.import_tree(
            Path(source), reference, above=above, only=only, at=at or None, operation=operation
        )

    return begun(request, who, "layer import", [reference], act)


@router.post("/layers/build")
def build(request: Request, form: Posted, who: WholeAdmin) -> Response:
    """By a recipe, whose scripts run on the server, shut in."""
    reference, above = text(form, "reference"), text(form, "above")
    recipe = LayerRecipe(
        text=text(form, "recipe").replace("\r\n", "\n"),
        layers=tuple(words(text(form, "layers"))),
        only=form.get("only") is not None,
        network=form.get("network") is not None,
    )

    def act(operation: Operation) -> object:
        return fleet_of(request).layers.build(reference, recipe, above=above, operation=operation)

    def try_it(operation: Operation) -> None:
        found = fleet_of(request).layers.would_build(reference, recipe, above=above, operation=operation)
        for line in _lines(present_promotion.contents(found)):
            operation.note(line)

    if text(form, "do") == "preview":
        return begun(request, who, "layer build --dry-run", [reference], try_it)
    return begun(request, who, "layer build", [reference], act)


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    """For the log of a job, whose page shows them."""
    told = (
        (each["what"], each["reason"], each["path"] or "further places", format_size(each["size"]))
        for each in rows[:SHOWN]
    )
    lines = [" ".join(filter(None, each)) for each in told]
    more = len(rows) - SHOWN
    return [*lines, f"and {more} more: the API has them all"] if more > 0 else lines


@router.get("/layers/{reference}")
def one(request: Request, reference: str, who: Viewer) -> Response:
    found = fleet_of(request).layers.find(reference)
    names = _dependants(request, who).get(found.id, [])
    return render.page(request, ONE, layer=found, dependants=names)


@router.post("/layers/{reference}/verify")
def verify(request: Request, reference: str, form: Posted, who: WholeOperator) -> Response:
    def act(operation: Operation) -> object:
        return fleet_of(request).layers.verify(reference, operation)

    return begun(request, who, "layer verify", [reference], act)


@router.get("/layers/{reference}/remove")
def ask_to_remove(request: Request, reference: str, who: WholeAdmin) -> Response:
    found = fleet_of(request).layers.find(reference)
    names = _dependants(request, who).get(found.id, [])
    return render.page(request, REMOVE, layer=found, dependants=names)


@router.post("/layers/{reference}/remove")
def remove(request: Request, reference: str, form: Posted, who: WholeAdmin) -> Response:
    def act(operation: Operation) -> object:
        return fleet_of(request).layers.remove(reference)

    return begun(request, who, "layer remove", [reference], act)


def _dependants(request: Request, who: Principal) -> dict[str, list[str]]:
    """Of each that machines have, by its id, those of them that are reached."""
    fleet = fleet_of(request)
    found = fleet.layers.dependants()
    if who.fleet is None:
        return found
    theirs = set(reach.names(fleet, who))
    return {layer: [name for name in names if name in theirs] for layer, names in found.items()}
