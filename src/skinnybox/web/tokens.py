"""Tokens: who may come in, made here and revoked."""

from datetime import timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet.jobs import on_behalf_of
from skinnybox.fleet.tokens import Role, Token, lives
from skinnybox.gate.handing_out import hand_out
from skinnybox.gate.principal import WholeAdmin
from skinnybox.gate.served import fleet_of
from skinnybox.printable import quoted
from skinnybox.web import render
from skinnybox.web.batch import number
from skinnybox.web.forms import Posted, text

router = APIRouter()
TEMPLATE = "tokens.html"
DAYS = (1, 30, 90, 365)
"""How long one may last, of what the form offers; it lasts for ever where none is chosen."""


@router.get("/tokens")
def tokens(request: Request, who: WholeAdmin) -> Response:
    return _page(request)


@router.post("/tokens")
def create(request: Request, form: Posted, who: WholeAdmin) -> Response:
    """Its secret is in the answer, and nowhere else: the page that is asked for again has it no more."""
    try:
        role, lasts = _role(text(form, "role")), _lasts(text(form, "days"))
        made, secret = hand_out(
            fleet_of(request), who, text(form, "name"), role, reaches=text(form, "fleet") or None, lasts=lasts
        )
    except UsageError as error:
        return _page(request, status=422, wrong=error)
    return _page(request, made=made, secret=secret)


@router.get("/tokens/{identity}/revoke")
def ask_to_revoke(request: Request, identity: str, who: WholeAdmin) -> Response:
    return render.page(request, "revoke.html", token=fleet_of(request).tokens.one(identity))


@router.post("/tokens/{identity}/revoke")
def revoke(request: Request, identity: str, form: Posted, who: WholeAdmin) -> Response:
    fleet = fleet_of(request)
    name = fleet.tokens.one(identity).name
    with on_behalf_of(who.actor):
        fleet.tokens.revoke(identity)
    return render.moved(request, "/tokens", f"The token {name} is revoked.")


def _page(
    request: Request, *, status: int = 200, made: Token | None = None, secret: str | None = None,
    wrong: SkinnyboxError | None = None,
) -> Response:  # fmt: skip
    fleet = fleet_of(request)
    fleets = {machine.instance.fleet for machine in fleet.machines()} - {None}
    return render.page(
        request, TEMPLATE, status=status, found=fleet.tokens.all(), lives=lives, roles=list(Role), days=DAYS,
        fleets=sorted(map(str, fleets)), made=made, secret=secret, wrong=wrong,
    )  # fmt: skip


def _role(said: str) -> Role:
    try:
        return Role[said.upper()]
    except KeyError as error:
        raise UsageError(f"there is no role {quoted(said)}") from error


def _lasts(said: str) -> timedelta | None:
    return timedelta(days=number("days", said)) if said else None
