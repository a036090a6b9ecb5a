"""Tokens: what a person or a program shows to be let in over a network. Made and revoked here.

    sk_ID_SECRET        ID 10 letters and digits, SECRET 256 random bits in base64 (RFC 4648, section 5)

The secret is told once, when the token is made. Its digest needs no salt and no slow function: nobody finds
256 random bits by trying.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from skinnybox.errors import NotFound, SkinnyboxError, UsageError
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.catalog import tokens
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.tokens import Role as Role
from skinnybox.fleet.catalog.tokens import Token as Token
from skinnybox.model.names import check_name
from skinnybox.printable import printable, quoted

_ID = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH = 10
_FORM = re.compile(r"sk_([a-z2-7]{10})_([A-Za-z0-9_-]{43})")
_MOST_NAME = 64
_LONGEST = timedelta(days=3650)
_USE_NOTED = timedelta(minutes=5)


class Tokens:
    """Those of one catalog; `fleet.tokens` of a Fleet."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @as_job("token create")
    def create(
        self, name: str, role: Role, *, fleet: str | None = None, lasts: timedelta | None = None
    ) -> tuple[Token, str]:
        """A new one, and what its owner shows: nobody can be told that again. UsageError for a name, a fleet
        or a time that is none. The fleet need not be there yet."""
        from skinnybox.fleet.jobs import asking

        if not name or len(name) > _MOST_NAME or printable(name) != name:
            raise UsageError(f"a token's name is 1 to {_MOST_NAME} characters that can be printed")
        if lasts is not None and not timedelta(0) < lasts <= _LONGEST:
            raise UsageError("a token lasts from one second to ten years")
        if fleet is not None:
            _check_fleet(fleet)
        now, secret = datetime.now(UTC), secrets.token_urlsafe(32)
        token = Token(
            id="".join(secrets.choice(_ID) for _ in range(_ID_LENGTH)), name=name, role=role, fleet=fleet,
            digest=_digest(secret), made=now, maker=asking().name,
            expires=None if lasts is None else now + lasts,
        )  # fmt: skip
        tokens.add(self._catalog.database, token)
        return token, f"sk_{token.id}_{secret}"

    def all(self) -> list[Token]:
        return tokens.all_of(self._catalog.database)

    def one(self, identity: str) -> Token:
        """NotFound without one."""
        return tokens.one(self._catalog.database, identity)

    @as_job("token revoke")
    def revoke(self, identity: str) -> None:
        """Nobody comes in with it any more, from now on. NotFound without one."""
        tokens.remove(self._catalog.database, identity)

    def shown(self, text: str) -> Token | None:
        """Whose token this is; None when it is none, is no more, or never was. Takes as long either way."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        try:
            token = tokens.one(self._catalog.database, form[1])
        except NotFound:
            token = None
        digest = token.digest if token else "0" * 64
        if not hmac.compare_digest(digest, _digest(form[2])) or token is None:
            return None
        return self._noted(token) if lives(token) else None

    def _noted(self, token: Token) -> Token:
        """That it was used, not more often than anybody wants to know."""
        now = datetime.now(UTC)
        if token.used is not None and now - token.used < _USE_NOTED:
            return token
        try:
            tokens.note_use(self._catalog.database, token.id, now)
        except SkinnyboxError:  # who only reads is let in where nothing can be written
            return token
        return replace(token, used=now)


def _check_fleet(name: str) -> None:
    """As a fleet file may say it; a typo would let nobody see anything, and nobody say why."""
    try:
        check_name(name)
    except UsageError as error:
        raise UsageError(
            f"{quoted(name)} is no fleet's name", hint="what a fleet file says at `fleet:`"
        ) from error


def lives(token: Token) -> bool:
    return token.expires is None or datetime.now(UTC) < token.expires


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
