"""What pages need beside themselves: styles, scripts, pictures. All of it is in the package, read once."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import NotFound

router = APIRouter()
_MEDIA = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class File(NamedTuple):
    content: bytes
    media: str
    digest: str


@cache
def all_files() -> dict[str, File]:
    found = {}
    for each in files("skinnybox.web").joinpath("static").iterdir():
        media = _MEDIA.get(each.name.rsplit(".", 1)[-1])
        if media is not None:
            content = each.read_bytes()
            found[each.name] = File(content, media, sha256(content).hexdigest())
    return found


def address(name: str) -> str:
    """With its digest, so that browsers keep it until it is another."""
    return f"/static/{name}?v={all_files()[name].digest[:16]}"


@router.get("/static/{name}")
def static(name: str, request: Request, v: str = "") -> Response:
    """For everybody: there is nothing of the fleet in it."""
    file = all_files().get(name)
    if file is None:
        raise NotFound(f"there is no file {name!r:.60} here")
    same = v == file.digest[:16]
    headers = {"cache-control": _FOR_EVER if same else "no-cache", "etag": f'"{file.digest[:32]}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media, headers=headers)
