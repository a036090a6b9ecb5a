"""What is served here, and to whom."""

from typing import Any

from fastapi import APIRouter

from skinnybox import __version__
from skinnybox.gate.principal import Viewer

router = APIRouter(tags=["about"])


@router.get("/about")
def about(who: Viewer) -> dict[str, Any]:
    """The version, and who asks with which rights."""
    return {"version": __version__, "name": who.name, "role": str(who.role), "fleet": who.fleet}
