"""Errors as RFC 9457 has them: application/problem+json, one form for all that can go wrong."""

from typing import Any

from starlette.responses import JSONResponse

from skinnybox.errors import SkinnyboxError

MEDIA = "application/problem+json"


def of_error(error: SkinnyboxError) -> JSONResponse:
    body: dict[str, Any] = {
        "type": f"urn:skinnybox:error:{type(error).__name__}",
        "title": type(error).__name__,
        "status": error.http_status,
        "detail": error.message,
        "hint": error.hint,
    }
    headers = {"www-authenticate": "Bearer"} if error.http_status == 401 else None
    return JSONResponse(body, status_code=error.http_status, media_type=MEDIA, headers=headers)
