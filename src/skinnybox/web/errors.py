"""What went wrong, as a page: with its hint, and a way on."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError
from skinnybox.gate.principal import NotSignedIn
from skinnybox.printable import printable
from skinnybox.web import render

_TITLES = {
    400: "That is not understood",
    403: "That is not yours to do",
    404: "Not found",
    405: "That cannot be asked for here",
    409: "Not now",
    429: "Too many tries",
    501: "That cannot be done here",
    507: "No space",
}


def page(request: Request, error: SkinnyboxError) -> Response:
    """Whoever is not signed in is led to where they can be."""
    if isinstance(error, NotSignedIn):
        return _to_sign_in(request)
    return of_status(request, error.http_status, error.message, error.hint)


def of_status(request: Request, status: int, message: str, hint: str | None = None) -> Response:
    """For a script's request a short text: what stands in the page stays as it is."""
    title = _TITLES.get(status, "Something went wrong")
    values = {"title": title, "code": status, "message": printable(message), "hint": hint and printable(hint)}
    return render.page(request, "error.html", status=status, **values)


def _to_sign_in(request: Request) -> Response:
    if render.is_part(request):
        response = Response(status_code=401, headers={**render.HEADERS, "hx-redirect": "/sign-in"})
        return response
    there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    asked = there if request.method == "GET" else "/"
    return render.moved(request, f"/sign-in?next={quote(asked, safe='/')}" if asked != "/" else "/sign-in")
