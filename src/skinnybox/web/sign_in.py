"""In by a token, and out again."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.gate import session
from skinnybox.gate.principal import TooManyTries, wrong
from skinnybox.gate.served import fleet_of
from skinnybox.web import render
from skinnybox.web.forms import Posted, back, text

router = APIRouter()
_NONE = "This is no token that is valid here."


@router.get("/sign-in")
def ask(request: Request, next: str = "/") -> Response:
    if render.visitor(request) is not None:
        return render.moved(request, back(next))
    return render.page(request, "sign_in.html", next=back(next), wrong=None)


@router.post("/sign-in")
def sign_in(request: Request, form: Posted) -> Response:
    """Whoever sends it shows a token, and nothing else counts: so it needs no session, and no word of one."""
    token = fleet_of(request).tokens.shown(text(form, "token"))
    goal = back(text(form, "next", "/"))
    if token is None:
        error = wrong(request)
        said = f"{error.message}: {error.hint}" if isinstance(error, TooManyTries) else _NONE
        return render.page(request, "sign_in.html", status=error.http_status, next=goal, wrong=said)
    response = render.moved(request, goal)
    session.begin(request, token, response)
    return response


@router.post("/sign-out")
def sign_out(request: Request, form: Posted) -> Response:
    """Without a word of the session it goes on: nobody else's page ends it."""
    if not session.is_ours(request, text(form, session.CSRF_FIELD)):
        return render.moved(request, "/")
    response = render.moved(request, "/sign-in", "You are signed out.")
    session.end(request, response)
    return response
