"""Tokens: who may come in, as what."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import Field

from skinnybox.api.forms import FleetName, Given, Page, Paged, Text, Told
from skinnybox.errors import NotFound
from skinnybox.fleet.present_tokens import token as form
from skinnybox.fleet.tokens import Role, Token
from skinnybox.gate import reach
from skinnybox.gate.handing_out import hand_out
from skinnybox.gate.principal import Admin, Principal
from skinnybox.gate.served import fleet_of

router = APIRouter(tags=["tokens"])

TokenId = Annotated[str, Path(pattern="^[a-z2-7]{10}$")]


class NewToken(Given):
    name: Annotated[Text, Field(min_length=1, max_length=64)]
    """Whose it is, as jobs are to tell who asked."""
    role: Literal["viewer", "operator", "admin"]
    fleet: FleetName | None = None
    """The only fleet whose machines it reaches."""
    lasts: Annotated[int, Field(ge=1, le=3650 * 86_400)] | None = None
    """Seconds; null: as long as your own."""


class TokenForm(Told):
    token: str
    """Its id."""
    name: str
    role: Literal["viewer", "operator", "admin"]
    fleet: str | None
    state: Literal["valid", "expired"]
    made: str
    maker: str
    expires: str | None
    used: str | None


class MadeToken(TokenForm):
    secret: str
    """What its owner shows. It is told this once: only its digest is kept."""


def _theirs(who: Principal, token: Token) -> bool:
    return who.fleet in (None, token.fleet)


@router.get("/tokens", response_model=Page[TokenForm])
def list_tokens(request: Request, who: Admin, window: Paged) -> Any:
    """In the order in which they were made."""
    return window.page([t for t in fleet_of(request).tokens.all() if _theirs(who, t)], form)


@router.post("/tokens", status_code=201, response_model=MadeToken)
def create_token(request: Request, who: Admin, body: NewToken) -> Any:
    """A new one, with its secret, which nobody can be told again."""
    lasts = None if body.lasts is None else timedelta(seconds=body.lasts)
    token, secret = hand_out(
        fleet_of(request), who, body.name, Role[body.role.upper()], reaches=body.fleet, lasts=lasts
    )
    return {**form(token), "secret": secret}


@router.delete("/tokens/{identity}", status_code=204)
def revoke_token(request: Request, who: Admin, identity: TokenId) -> None:
    """Nobody comes in with it any more. What was asked for with it goes on."""
    tokens = fleet_of(request).tokens
    if not _theirs(who, tokens.one(identity)):
        raise NotFound(f"there is no token {identity!r}")
    with reach.as_asked_by(who):
        tokens.revoke(identity)
