"""Who asks: whoever's token came with the request, or who opened the server's own socket.

Authorization: Bearer sk_ID_SECRET     programs
a cookie, made at sign-in (session.py) browsers
the Unix socket                        its owner, for only they can open it
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.jobs import Actor
from skinnybox.fleet.tokens import Role, Token
from skinnybox.gate import session
from skinnybox.gate.served import served

SOCKET = "socket"
"""The door of scope["state"] by which the owner comes."""


class NotSignedIn(SkinnyboxError):
    http_status = 401


class NotAllowed(SkinnyboxError):
    http_status = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """`fleet`: only the machines of this one are there for them. `token`: its id, None for the owner."""

    name: str
    role: Role
    fleet: str | None
    origin: str
    token: str | None

    @property
    def actor(self) -> Actor:
        return Actor(name=self.name, origin=self.origin)


def principal(connection: HTTPConnection) -> Principal:
    """NotSignedIn without one that is known. Looked up once in a request."""
    known = connection.scope["state"].get("principal")
    if known is None:
        known = connection.scope["state"]["principal"] = _found(connection)
    return known  # type: ignore[no-any-return]


def _found(connection: HTTPConnection) -> Principal:
    if connection.scope["state"].get("door") == SOCKET:
        return Principal(name="owner", role=Role.ADMIN, fleet=None, origin="the server's socket", token=None)
    scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
    if scheme:
        token = served(connection).fleet.tokens.shown(secret.strip()) if scheme.lower() == "bearer" else None
    else:
        token = _of_cookie(connection)
    if token is None:
        raise NotSignedIn("this needs a token", hint="`skinnybox token create` makes one")
    return of_token(token, connection)


def _of_cookie(connection: HTTPConnection) -> Token | None:
    """NotAllowed for what would change something and does not say that a page of ours sent it: in a header,
    or in a form that the console has looked at before."""
    token = session.token_of(connection)
    if token is None or connection.scope.get("method", "GET") in session.SAFE:
        return token
    said = connection.headers.get(session.CSRF_HEADER) or connection.scope["state"].get("csrf")
    if not session.is_ours(connection, said):
        raise NotAllowed(
            "this was not sent by a page of this session", hint="open the page again, and repeat it"
        )
    return token


def of_token(token: Token, connection: HTTPConnection) -> Principal:
    origin = connection.client.host if connection.client else "unknown"
    return Principal(name=token.name, role=token.role, fleet=token.fleet, origin=origin, token=token.id)


def at_least(role: Role) -> Any:
    """For `Annotated[Principal, at_least(Role.OPERATOR)]`: NotAllowed for who may less."""

    def check(connection: HTTPConnection) -> Principal:
        who = principal(connection)
        if who.role < role:
            raise NotAllowed(f"this needs the role {role}, and {who.name} is {who.role}")
        return who

    return Depends(check)


Viewer = Annotated[Principal, at_least(Role.VIEWER)]
Operator = Annotated[Principal, at_least(Role.OPERATOR)]
Admin = Annotated[Principal, at_least(Role.ADMIN)]
