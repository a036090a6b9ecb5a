"""A machine as one file that the browser keeps, and one made again of such files, which the browser sends or
which lie on the server."""

from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import UsageError
from skinnybox.fleet.restoring import Restore
from skinnybox.gate import exports, limits
from skinnybox.gate.principal import Operator, WholeAdmin
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation
from skinnybox.sizes import parse_size
from skinnybox.web import render
from skinnybox.web.begun import begun
from skinnybox.web.forms import Posted, Sent, listed, text

router = APIRouter()
sending = APIRouter(max_body_size=limits.ARCHIVES_BODY)
"""Of forms with files, which are not read before it is known whose they are."""


@sending.post("/machines/{name}/export")
async def export(request: Request, who: Operator, name: str, form: Sent) -> Response:
    """It comes as it is made; since an earlier one, where that is sent."""
    return await exports.exported(request, who, name, data=bool(form.text("data")), form=form)


@router.get("/restore")
def ask(request: Request, who: Operator) -> Response:
    return render.page(request, "restore.html")


@sending.post("/restore/upload")
async def upload(request: Request, who: Operator, form: Sent) -> Response:
    """Of files that the browser sends."""
    size = form.text("overlay")
    number = await exports.restored(
        request, who, form, form.text("name"), overlay=parse_size(size) if size else None,
        new_identity=bool(form.text("new_identity")),
    )  # fmt: skip
    return render.moved(request, f"/jobs/{number}")


@router.post("/restore")
def restore(request: Request, who: WholeAdmin, form: Posted) -> Response:
    """Of files that lie on the server: admins may say where."""
    fleet, name, sources = fleet_of(request), text(form, "name"), listed(form, "sources")
    size, another = text(form, "overlay"), bool(text(form, "new_identity"))
    if not name or not sources or not all(each.startswith("/") for each in sources):
        raise UsageError("a machine is made of its name and the whole paths of archives on the server")
    wanted = Restore(
        sources=tuple(map(Path, sources)),
        overlay=parse_size(size) if size else None,
        new_identity=another,
    )

    def act(operation: Operation) -> object:
        return [fleet.deltas.restore(name, wanted, operation)]

    return begun(request, who, "create", [name], act)
