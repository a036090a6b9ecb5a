"""What went wrong, as a page: with its hint, and a way on. Programs get problems (gate/problems.py)."""

from html import escape
from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from skinnybox.errors import SkinnyboxError, from_system
from skinnybox.gate import places, problems
from skinnybox.gate.principal import NotSignedIn
from skinnybox.printable import printable
from skinnybox.web import render

_TITLES = {
    400: "That is not understood",
    401: "Who are you?",
    403: "That is not yours to do",
    404: "Not found",
    405: "That cannot be asked for here",
    409: "Not now",
    413: "That is too much",
    422: "That is not understood",
    429: "Too many tries",
    501: "That cannot be done here",
    507: "No space",
}
_BUG = "This is a bug of Skinnybox. The server's log has what is needed to report it."


def install(app: FastAPI) -> None:
    """After problems.install, whose answers everybody gets who asks for no page."""

    @app.exception_handler(SkinnyboxError)
    async def refused(request: Request, error: SkinnyboxError) -> Response:
        if not render.wants_page(request):
            return problems.of_error(places.error(request, error))
        return await run_in_threadpool(of_error, request, places.error(request, error))

    @app.exception_handler(HTTPException)
    async def of_the_framework(request: Request, error: HTTPException) -> Response:
        if not render.wants_page(request):
            return problems.of_http(error)
        said = str(error.detail or HTTPStatus(error.status_code).phrase)
        return await run_in_threadpool(page, request, error.status_code, said)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        if not render.wants_page(request):
            return problems.of_validation(error)
        return await run_in_threadpool(page, request, 422, f"{len(error.errors())} mistakes in what was sent")

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        denied = from_system(error) if isinstance(error, OSError) else None
        denied = denied and places.error(request, denied)
        if not render.wants_page(request):
            return problems.of_error(denied) if denied else problems.of_exception(error)
        if denied is not None:
            return await run_in_threadpool(of_error, request, denied)
        return await run_in_threadpool(page, request, 500, _BUG)


def of_error(request: Request, error: SkinnyboxError) -> Response:
    """Whoever is not signed in is led to where they can be."""
    if isinstance(error, NotSignedIn):
        return _to_sign_in(request)
    return page(request, error.http_status, error.message, error.hint)


def page(request: Request, status: int, message: str, hint: str | None = None) -> Response:
    """For a script's request only the words: what stands in its page stays as it is."""
    if render.is_part(request):
        said = ". ".join(filter(None, (printable(message), hint and printable(hint))))
        return HTMLResponse(escape(said), status_code=status, headers=render.HEADERS)
    title = _TITLES.get(status, "Something went wrong")
    values = {"title": title, "code": status, "message": printable(message), "hint": hint and printable(hint)}
    return render.page(request, "error.html", status=status, **values)


def _to_sign_in(request: Request) -> Response:
    if render.is_part(request):
        return Response(status_code=401, headers={**render.HEADERS, "hx-redirect": "/sign-in"})
    there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    asked = there if request.method == "GET" else "/"
    return render.moved(request, f"/sign-in?next={quote(asked, safe='/')}" if asked != "/" else "/sign-in")
