"""What is served here, and to whom."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from skinnybox import __version__
from skinnybox.api import document
from skinnybox.gate.principal import Viewer

router = APIRouter(tags=["about"])


class About(BaseModel):
    """`fleet`: whose machines alone are there for this token; null: all."""

    version: str
    name: str
    role: str
    fleet: str | None


@router.get("/about")
def about(who: Viewer) -> About:
    """The version, and who asks with which rights."""
    return About(version=__version__, name=who.name, role=str(who.role), fleet=who.fleet)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, who: Viewer) -> Any:
    """All of this for programs."""
    return document.openapi(request.app)
