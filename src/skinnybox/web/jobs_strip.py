"""The strip of jobs by itself, for the script that keeps it new on a page that stays open."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.gate.principal import Viewer
from skinnybox.web import render

router = APIRouter()


@router.get("/strip")
def strip(request: Request, who: Viewer) -> Response:
    return render.part(request, "strip.html", "strip")
