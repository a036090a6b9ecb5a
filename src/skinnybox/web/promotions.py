"""A machine's system as a new master, or what is its own as a layer: what it would be without, then made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet import present_promotion
from skinnybox.fleet.service import Fleet
from skinnybox.gate import places, reach
from skinnybox.gate.principal import WholeOperator
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.model.promotion import Promotion
from skinnybox.operation import Operation
from skinnybox.web import render
from skinnybox.web.changes import tabs
from skinnybox.web.forms import Posted, listed, text
from skinnybox.web.machine import head
from skinnybox.web.one import one

router = APIRouter()
SHOWN = 300
"""Rows of what is left out that a page tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The fields of the form."""

    reference: str = ""
    as_layer: bool = False
    paths: Sequence[str] = ()
    keep: Sequence[str] = ()
    leave_out: Sequence[str] = ()
    live: bool = False


@router.get("/machines/{name}/promotion")
def ask(request: Request, who: WholeOperator, name: str) -> Response:
    return _page(request, who, name, Asked(), None, None)


@router.post("/machines/{name}/promotion")
def promote(request: Request, who: WholeOperator, name: str, form: Posted) -> Response:
    """What would be left out, with a button that says so; with that, it is sealed."""
    found, asked, fleet = one(request, who, name), _asked(form), fleet_of(request)
    if text(form, "sure"):
        if not asked.reference:
            raise UsageError("it has no name yet", hint="NAME, or NAME:VERSION")
        number, _ = reach.begin(
            fleet, who, "promote", [name], lambda _, operation: _sealed(fleet, name, asked, operation)
        )
        return render.moved(request, f"/jobs/{number}")
    try:
        with reading(found.instance.uuid):
            would = fleet.deltas.would_promote(
                name, as_layer=asked.as_layer, paths=asked.paths, keep=asked.keep, leave_out=asked.leave_out,
                live=asked.live,
            )  # fmt: skip
    except SkinnyboxError as error:
        return _page(request, who, name, asked, None, places.error(request, error))
    return _page(request, who, name, asked, would, None)


def _sealed(fleet: Fleet, name: str, asked: Asked, operation: Operation) -> object:
    said: dict[str, Any] = {"keep": asked.keep, "leave_out": asked.leave_out, "live": asked.live}
    if asked.as_layer:
        return fleet.deltas.promote_layer(name, asked.reference, operation, paths=asked.paths, **said)
    return fleet.deltas.promote(name, asked.reference, operation, **said)


def _asked(form: FormData) -> Asked:
    as_layer = bool(text(form, "as_layer"))
    return Asked(
        reference=text(form, "reference"),
        as_layer=as_layer,
        paths=listed(form, "paths"),
        keep=listed(form, "keep"),
        leave_out=listed(form, "leave_out"),
        live=bool(text(form, "live")),
    )


def _page(
    request: Request,
    who: WholeOperator,
    name: str,
    asked: Asked,
    would: Promotion | None,
    wrong: SkinnyboxError | None,
) -> Response:
    rows = [present_promotion.left_out(each) for each in would.left_out] if would else []
    return render.page(
        request, "promotion.html", status=wrong.http_status if wrong else 200, asked=asked, would=would,
        rows=rows, shown=SHOWN, wrong=wrong, **head(request, one(request, who, name)), **tabs("settings"),
    )  # fmt: skip
