"""Tokens for others: nobody makes one that may more, reaches further or lasts longer than their own."""

from datetime import UTC, datetime, timedelta

from skinnybox.fleet.jobs import on_behalf_of
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role, Token
from skinnybox.gate.principal import NotAllowed, Principal


def hand_out(
    fleet: Fleet, who: Principal, name: str, role: Role, *, reaches: str | None, lasts: timedelta | None
) -> tuple[Token, str]:
    """A new one, and its secret. `reaches` is the only fleet whose machines it reaches; None: what its maker
    reaches. Raises NotAllowed, and what Tokens.create raises."""
    reached = reaches if who.fleet is None else reaches or who.fleet
    if role > who.role or who.fleet not in (None, reached):
        raise NotAllowed("nobody makes a token that may more than their own")
    with on_behalf_of(who.actor):
        return fleet.tokens.create(name, role, fleet=reached, lasts=_at_most(who, lasts))


def _at_most(who: Principal, lasts: timedelta | None) -> timedelta | None:
    if who.expires is None:
        return lasts
    left = who.expires - datetime.now(UTC)
    return left if lasts is None else min(lasts, left)
