"""Whether a request comes from where it says: by a name that is ours, and not from somebody else's page.

A page that makes its own name lead here (DNS rebinding) calls us by that name: so only those of Served.hosts
are answered. A page of another origin can make a browser send forms, and open WebSockets, which no rule of
browsers keeps it from: so whatever may change something is looked at for who says it. Programs that are no
browsers send neither header; they have no cookie either that anybody could borrow.
"""

import re
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from skinnybox.gate.served import Served

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""
UNIX_SOCKET = "socket"
_SECRETS = frozenset({"token", "access_token", "api_key", "apikey", "authorization", "secret", "password"})
_TOKEN = re.compile(r"sk_[a-z2-7]{10}_[A-Za-z0-9_-]{20,}")
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253}):?([0-9]{1,5})?")


def check(connection: HTTPConnection, served: Served) -> None:
    """Raises HTTPException with what is wrong; its status is 400, 403 or 421."""
    host = _host(connection, served)
    _refuse_secrets(connection)
    is_socket = connection.scope["type"] == "websocket"
    if is_socket or connection.scope["method"] not in SAFE:
        _check_origin(connection, served, host, is_socket=is_socket)


def _host(connection: HTTPConnection, served: Served) -> str:
    """As it was asked for, with the port. Through the server's own socket no browser comes, and no name
    matters."""
    found = [value.strip().lower() for value in connection.headers.getlist("host")]
    if len(found) != 1:
        raise HTTPException(400, "a request has one Host")
    named = _HOST.fullmatch(found[0])
    if connection.scope["state"].get("door") == UNIX_SOCKET:
        return found[0]
    if named is None or named[1].rstrip(".") not in served.hosts:
        raise HTTPException(421, "this server is not called so: `skinnybox serve --host-name` says its names")
    return found[0]


def _refuse_secrets(connection: HTTPConnection) -> None:
    """An address is kept in logs, histories and referrers."""
    query = connection.scope.get("query_string", b"").decode("latin-1")
    if not query:
        return
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    except ValueError as error:
        raise HTTPException(400, "more than 200 parameters") from error
    if any(key.lower() in _SECRETS or _TOKEN.search(f"{key}={value}") for key, value in pairs):
        raise HTTPException(
            400, "no token in an address: send `Authorization: Bearer`, and revoke a token that was sent so"
        )


def _check_origin(connection: HTTPConnection, served: Served, host: str, *, is_socket: bool) -> None:
    origins = connection.headers.getlist("origin")
    if not origins:
        site = connection.headers.get("sec-fetch-site", "none").lower()
        if site not in ("same-origin", "none"):
            raise HTTPException(403, f"a page of another site sent this ({site:.20})")
        if is_socket and "cookie" in connection.headers:
            raise HTTPException(403, "a browser says the origin of a WebSocket")
        return
    if len(origins) != 1 or not _is_ours(origins[0], served, host):
        raise HTTPException(403, "a page of another origin sent this")


def _is_ours(said: str, served: Served, host: str) -> bool:
    """The same name and port; by TLS where browsers reach us so."""
    try:
        origin = urlsplit(said.strip().lower())
    except ValueError:
        return False
    schemes = ("https",) if served.secure else ("http", "https")
    return origin.scheme in schemes and origin.netloc == host and not (origin.path or origin.query)
