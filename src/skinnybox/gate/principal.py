"""Who asks: whoever's token came with the request, or who opened the server's own socket.

Authorization: Bearer sk_ID_SECRET     programs
a cookie, made at sign-in (session.py) browsers
the Unix socket                        its owner, for only they can open it
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.jobs import Actor
from skinnybox.fleet.tokens import Role, Token
from skinnybox.gate import session
from skinnybox.gate.origin import SAFE, UNIX_SOCKET
from skinnybox.gate.problems import Refused
from skinnybox.gate.served import served

SOCKET = UNIX_SOCKET
"""The door by which the owner comes, as the server notes it of each request."""


class NotSignedIn(SkinnyboxError):
    http_status = 401


class NotAllowed(SkinnyboxError):
    http_status = 403


class TooManyTries(Refused):
    http_status = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """`fleet`: only the machines of this one are there for them. `token`: its id, None for the owner;
    `expires`: when that ends."""

    name: str
    role: Role
    fleet: str | None
    origin: str
    token: str | None
    expires: datetime | None = None

    @property
    def actor(self) -> Actor:
        """Two tokens may have one name, so the origin says which it was."""
        origin = f"{self.origin}, token {self.token}" if self.token else self.origin
        return Actor(name=self.name, origin=origin, token=self.token)


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
    if not scheme:
        token = _of_cookie(connection)
        if token is None:
            raise NotSignedIn("this needs a token", hint="`skinnybox token create` makes one")
        return of_token(token, connection)
    token = served(connection).fleet.tokens.shown(secret.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        raise wrong(connection)
    return of_token(token, connection)


def _of_cookie(connection: HTTPConnection) -> Token | None:
    """NotAllowed for what would change something and does not say that a page of ours sent it: in a header,
    or in a form that the console has looked at before."""
    token = session.token_of(connection)
    if token is None or connection.scope.get("method", "GET") in SAFE:
        return token
    said = connection.headers.get(session.CSRF_HEADER) or connection.scope["state"].get("csrf")
    if not session.is_ours(connection, said):
        raise NotAllowed(
            "this was not sent by a page of this session", hint="open the page again, and repeat it"
        )
    return token


def wrong(connection: HTTPConnection) -> SkinnyboxError:
    """For who showed a token that is none. The more often that happens at their address, the longer it is
    until the next is told as such; a right one is let in all the while."""
    seconds = served(connection).failures.failed(address(connection))
    if seconds is None:
        return NotSignedIn(
            "this token is none, or is no more", hint="`skinnybox token list` shows those there are"
        )
    wait = math.ceil(seconds)
    return TooManyTries(
        "too many wrong tokens from your address", hint=f"wait {wait} s",
        headers={"retry-after": str(wait)},
    )  # fmt: skip


def address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else "unknown"


def of_token(token: Token, connection: HTTPConnection) -> Principal:
    return Principal(
        name=token.name, role=token.role, fleet=token.fleet, origin=address(connection), token=token.id,
        expires=token.expires,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLeast:
    """A dependency: NotAllowed for who may less than this role, and with `whole` for who reaches one fleet
    only."""

    role: Role
    whole: bool = False

    def __call__(self, connection: HTTPConnection) -> Principal:
        who = principal(connection)
        if who.role < self.role:
            raise NotAllowed(f"this needs the role {self.role}, and {who.name} is {who.role}")
        return whole(who) if self.whole else who


def whole(who: Principal) -> Principal:
    """For what concerns more than machines. NotAllowed for who reaches one fleet only."""
    if who.fleet is not None:
        raise NotAllowed(f"{who.name} reaches the fleet {who.fleet} only")
    return who


Viewer = Annotated[Principal, Depends(AtLeast(role=Role.VIEWER))]
Operator = Annotated[Principal, Depends(AtLeast(role=Role.OPERATOR))]
Admin = Annotated[Principal, Depends(AtLeast(role=Role.ADMIN))]
WholeViewer = Annotated[Principal, Depends(AtLeast(role=Role.VIEWER, whole=True))]
WholeOperator = Annotated[Principal, Depends(AtLeast(role=Role.OPERATOR, whole=True))]
WholeAdmin = Annotated[Principal, Depends(AtLeast(role=Role.ADMIN, whole=True))]
