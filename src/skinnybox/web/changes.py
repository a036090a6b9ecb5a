"""What a machine made its own: its folders, opened one by one, and what became of a file."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import NotFound
from skinnybox.fleet.text_diff import diff_of
from skinnybox.fleet.view import MachineView
from skinnybox.gate.principal import Operator, Viewer
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.printable import raw_path
from skinnybox.web import render
from skinnybox.web.kept_trees import Look, kept_trees
from skinnybox.web.one import one
from skinnybox.web.tree import Place

router = APIRouter()


@router.get("/machines/{name}/changes")
def changes(request: Request, who: Viewer, name: str, path: str = "", again: str = "") -> Response:
    """A folder of it, the first one without a path. To read it takes a while: a page that holds this as a
    part asks for it when it is there itself."""
    machine = one(request, who, name)
    look = _look(request, machine, again=bool(again))
    values: dict[str, Any] = {"machine": machine, "look": look, "place": _place(look, path)}
    if render.is_part(request, "delta"):
        return render.part(request, "changes.html", "delta", **values)
    if render.is_part(request):
        return render.part(request, "changes.html", "below", **values)
    return render.page(request, "changes.html", **values, **tabs("changes"))


def _look(request: Request, machine: MachineView, *, again: bool) -> Look:
    looks = kept_trees(request)
    kept = None if again else looks.kept(machine)
    return kept or looks.look(fleet_of(request), machine)


def _place(look: Look, path: str) -> Place:
    """NotFound where nothing is different."""
    place = look.tree.at(path)
    if place is None:
        raise NotFound(
            f"nothing is different at /{path[:200]}", hint="it may have been, before this was read"
        )
    return place


@router.get("/machines/{name}/changes/file")
def file(request: Request, who: Operator, name: str, path: str) -> Response:
    """What it was and what it is now. Files of machines may hold secrets: a viewer sees their names only."""
    machine = one(request, who, name)
    raw = raw_path(path.strip("/"))
    if raw is None:
        raise NotFound("that is no path of a machine")
    with reading(machine.instance.uuid):
        versions = fleet_of(request).deltas.file(name, raw)
    diff = diff_of(versions.before, versions.after)
    return render.page(
        request, "file.html", machine=machine, file=path.strip("/"), versions=versions, diff=diff,
        trail=Place(name="", path=path.strip("/")).trail(), **tabs("changes"),
    )  # fmt: skip


def tabs(here: str) -> dict[str, Any]:
    return {"tab": here, "path": "/machines"}
