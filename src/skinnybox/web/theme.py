"""Light, dark, or as the system has it: everybody's own choice, kept in their browser."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from skinnybox.web.forms import Posted, back

router = APIRouter()
CHOICES = ("auto", "light", "dark")
_COOKIE = "skinnybox-theme"
_YEAR = 365 * 24 * 3600


def chosen(request: Request) -> str:
    said = request.cookies.get(_COOKIE, "")
    return said if said in CHOICES else "auto"


@router.post("/theme")
def choose(request: Request, form: Posted) -> Response:
    """Changes nothing but the look of one browser: for everybody, without a session too."""
    said = str(form.get("theme", "auto"))
    response = RedirectResponse(back(str(form.get("back", "/"))), status_code=303)
    response.set_cookie(
        _COOKIE, said if said in CHOICES else "auto", max_age=_YEAR, path="/", httponly=True, samesite="lax"
    )
    return response
