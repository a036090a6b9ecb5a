"""What is said once, on the page after the one on which somebody did something. In a signed cookie: so nobody
else can put words into our mouth."""

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.gate import session
from skinnybox.gate.served import served

_COOKIE = "skinnybox-said"
_SECONDS = 60


def keep(request: Request, response: Response, said: str) -> None:
    text = _signer(request).dumps(said[:500])
    response.set_cookie(
        _COOKIE, str(text), max_age=_SECONDS, path="/", secure=session.is_secure(request), httponly=True,
        samesite="strict",
    )  # fmt: skip


def said(request: Request) -> str | None:
    try:
        return str(_signer(request).loads(request.cookies.get(_COOKIE, ""), max_age=_SECONDS))
    except BadSignature:
        return None


def forget(request: Request, response: Response) -> None:
    response.delete_cookie(_COOKIE, path="/", httponly=True, samesite="strict")


def _signer(request: Request) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(served(request).key, salt="skinnybox said")
