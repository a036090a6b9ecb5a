"""Who did what, from where, and what came of it: the same jobs, told by who asked."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.gate.principal import WholeAdmin
from skinnybox.gate.served import fleet_of
from skinnybox.web import render
from skinnybox.web.jobs_filter import asked, page_of

router = APIRouter()
TEMPLATE = "audit.html"
PAGE = 100


@router.get("/audit")
def audit(request: Request, who: WholeAdmin) -> Response:
    wanted = asked(request.query_params)
    found = page_of(fleet_of(request), who, wanted, PAGE, origins=True)
    values: dict[str, Any] = {"found": found, "filter": wanted}
    if render.is_part(request, "list"):
        return render.part(request, TEMPLATE, "list", **values)
    return render.page(request, TEMPLATE, **values)
