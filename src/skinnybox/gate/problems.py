"""Errors as RFC 9457 has them: application/problem+json, one form for all that can go wrong.

type      urn:skinnybox:error:NAME, the same as long as the error means the same
title     NAME
status    as that of the response
detail    what is wrong, for a person
hint      what to do about it, or null
errors    where there are several: [{"where": ["body", "names", 0], "what": "..."}]
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError, from_system

MEDIA = "application/problem+json"
_MOST_ERRORS = 50
_LONGEST = 300


class Refused(SkinnyboxError):
    """With headers that go with it, such as Retry-After."""

    def __init__(
        self, message: str, *, hint: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.headers = dict(headers or {})


def install(app: FastAPI) -> None:
    """All that can go wrong in a route is told so from then on; what nobody foresaw, doors.py logs."""

    @app.exception_handler(SkinnyboxError)
    async def refused(_: Request, error: SkinnyboxError) -> Response:
        return of_error(error)

    @app.exception_handler(HTTPException)
    async def of_the_framework(_: Request, error: HTTPException) -> Response:
        return of_http(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        return of_validation(error)

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> Response:
        return of_exception(error)


def of_error(error: SkinnyboxError) -> Response:
    headers = dict(error.headers) if isinstance(error, Refused) else {}
    if error.http_status == 401:
        headers["www-authenticate"] = "Bearer"
    errors = getattr(error, "places", None)
    return _problem(type(error).__name__, error.http_status, error.message, error.hint, errors, headers)


def of_http(error: HTTPException) -> Response:
    """One of the framework: no such route, no such method there, a body that is too large."""
    phrase = HTTPStatus(error.status_code).phrase
    detail = str(error.detail or phrase)
    return _problem(phrase.title().replace(" ", ""), error.status_code, detail, headers=error.headers)


def of_validation(error: RequestValidationError) -> Response:
    found = error.errors()
    errors = [{"where": [_short(part) for part in each["loc"]], "what": _what(each)} for each in found]
    return _problem("Malformed", 422, f"{len(found)} mistakes in what was sent", errors=errors[:_MOST_ERRORS])


def of_exception(error: Exception) -> Response:
    """What the machine denied us is told as the command line tells it; of a bug of ours nothing is."""
    denied = from_system(error) if isinstance(error, OSError) else None
    if denied is not None:
        return of_error(denied)
    detail = "this is a bug of Skinnybox: the server's log has what is needed to report it"
    return _problem("Bug", 500, detail)


def _what(each: Mapping[str, Any]) -> str:
    """Without what was given, which may be a secret, or no text at all."""
    text = str(each["msg"]).removeprefix("Value error, ")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _short(part: object) -> object:
    return part if isinstance(part, int) else str(part)[:_LONGEST]


def _problem(
    title: str, status: int, detail: str, hint: str | None = None, errors: Sequence[Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    body: dict[str, Any] = {
        "type": f"urn:skinnybox:error:{title}", "title": title, "status": status, "detail": detail,
        "hint": hint,
    }  # fmt: skip
    if errors is not None:
        body["errors"] = list(errors)
    # ASCII: a message may hold half of a pair of UTF-16, which no encoding of a response has a place for.
    content = json.dumps(body).encode()
    return Response(content, status_code=status, media_type=MEDIA, headers=dict(headers or {}))
