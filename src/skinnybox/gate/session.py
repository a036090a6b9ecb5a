"""Sessions of browsers: a signed cookie that names a token, so that nobody types it at each page.

It holds the token's id, never its secret, and when the session began and was used last. The token is looked
up at each request: one that is revoked, or has come to its end, ends its sessions at once. What a page of
another origin makes a browser send carries no word of ours (`csrf`), and is refused.
"""

import hmac
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from secrets import token_urlsafe

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from skinnybox.errors import NotFound
from skinnybox.fleet.tokens import Token, lives
from skinnybox.gate.served import served

IDLE = 8 * 3600
LONGEST = 7 * 24 * 3600
"""Seconds after which a session ends that nobody used, and any."""
_NOTED = 300
"""Seconds that pass before a cookie is made anew to say that it was used."""
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Times are seconds of the epoch; `nonce` tells it from the other sessions of the same token."""

    token: str
    nonce: str
    begun: int
    used: int


def cookie_name(connection: HTTPConnection) -> str:
    """A browser keeps `__Host-` for this very host, by TLS. Without TLS, which is on the loopback only, some
    browsers keep no such cookie at all, so it has another name there."""
    return "__Host-skinnybox" if is_secure(connection) else "skinnybox"


def begin(connection: HTTPConnection, token: Token, response: Response) -> None:
    now = int(time.time())
    _keep(connection, Session(token=token.id, nonce=token_urlsafe(16), begun=now, used=now), response)


def end(connection: HTTPConnection, response: Response) -> None:
    response.delete_cookie(
        cookie_name(connection), path="/", secure=is_secure(connection), httponly=True, samesite="strict"
    )


def renew(connection: HTTPConnection, response: Response) -> None:
    """Somebody is there. Not for what a page asks for by itself: then a screen left alone is used for
    ever."""
    found, now = session(connection), int(time.time())
    if found is not None and now - found.used > _NOTED:
        _keep(connection, replace(found, used=now), response)


def session(connection: HTTPConnection) -> Session | None:
    """The one that its cookie tells, if that is ours and not too old."""
    text = connection.cookies.get(cookie_name(connection))
    if not text:
        return None
    try:
        token, nonce, begun, used = _signer(connection).loads(text)
        found = Session(token=str(token), nonce=str(nonce), begun=int(begun), used=int(used))
    except (BadSignature, ValueError, TypeError):
        return None
    now = time.time()
    return found if now - found.used < IDLE and now - found.begun < LONGEST else None


def token_of(connection: HTTPConnection) -> Token | None:
    """Whose session it is, as that token is now."""
    found = session(connection)
    if found is None:
        return None
    try:
        token = served(connection).fleet.tokens.one(found.token)
    except NotFound:
        return None
    return token if lives(token) else None


def csrf(connection: HTTPConnection) -> str:
    """What each form of this session says. Empty without one: who comes in otherwise has no cookie that a
    browser would add to what somebody else's page sends."""
    found = session(connection)
    if found is None:
        return ""
    return hmac.new(served(connection).key, f"csrf:{found.nonce}".encode(), sha256).hexdigest()


def is_ours(connection: HTTPConnection, said: str | None) -> bool:
    """Whether what came by this session's cookie was sent by a page of ours, which says so."""
    wanted = csrf(connection)
    return bool(wanted and said) and hmac.compare_digest(wanted.encode(), str(said).encode())


def _keep(connection: HTTPConnection, kept: Session, response: Response) -> None:
    text = _signer(connection).dumps((kept.token, kept.nonce, kept.begun, kept.used))
    response.set_cookie(
        cookie_name(connection), str(text), max_age=LONGEST, path="/", secure=is_secure(connection),
        httponly=True, samesite="strict",
    )  # fmt: skip


def _signer(connection: HTTPConnection) -> URLSafeSerializer:
    return URLSafeSerializer(served(connection).key, salt="skinnybox session")


def is_secure(connection: HTTPConnection) -> bool:
    """Whether the browser came by TLS, or comes so to what stands before this server."""
    return served(connection).secure or connection.url.scheme in ("https", "wss")
