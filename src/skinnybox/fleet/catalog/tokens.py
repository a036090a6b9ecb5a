"""Tokens in the catalog: who may come in over a network, as what, and until when. Of a secret only its digest
is kept."""

import re
from datetime import datetime
from enum import IntEnum

from skinnybox.errors import NotFound
from skinnybox.fleet.catalog.database import Database, damaged
from skinnybox.values import dataclass

_COLUMNS = "id, name, role, fleet, digest, made, maker, expires, used"
_DIGEST = re.compile("[0-9a-f]{64}")


class Role(IntEnum):
    """What one may do; each may all that those before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`fleet`: it reaches the machines of this one only. `digest` is the SHA-256 of its secret, hexadecimal.
    Times are aware UTC; `used` is to the minute."""

    id: str
    name: str
    role: Role
    fleet: str | None
    digest: str
    made: datetime
    maker: str
    expires: datetime | None = None
    used: datetime | None = None


def add(db: Database, token: Token) -> None:
    with db.writing():
        db.execute(
            f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                token.id, token.name, str(token.role), token.fleet, token.digest, token.made.isoformat(),
                token.maker, _text(token.expires), None,
            ),
        )  # fmt: skip


def remove(db: Database, identity: str) -> None:
    with db.writing():
        gone = db.execute("DELETE FROM tokens WHERE id = ?", (identity,))
    if not gone:
        raise unknown(identity)


def note_use(db: Database, identity: str, when: datetime) -> None:
    with db.noting():
        db.execute("UPDATE tokens SET used = ? WHERE id = ?", (when.isoformat(timespec="minutes"), identity))


def all_of(db: Database) -> list[Token]:
    """In the order in which they were made."""
    return [_parsed(*row) for row in db.all(f"SELECT {_COLUMNS} FROM tokens ORDER BY made, id")]


def one(db: Database, identity: str) -> Token:
    found = db.all(f"SELECT {_COLUMNS} FROM tokens WHERE id = ?", (identity,))
    if not found:
        raise unknown(identity)
    return _parsed(*found[0])


def unknown(identity: str) -> NotFound:
    return NotFound(f"there is no token {identity!r}", hint="`skinnybox token list` shows them")


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else _aware(text)


def _aware(text: str) -> datetime:
    """ValueError without a zone: it could not be compared with now."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return found


def _parsed(
    identity: str, name: str, role: str, fleet: str | None, digest: str, made: str, maker: str,
    expires: str | None, used: str | None,
) -> Token:  # fmt: skip
    try:
        if not _DIGEST.fullmatch(digest):
            raise ValueError("its digest is none")
        return Token(
            id=identity, name=name, role=Role[role.upper()], fleet=fleet, digest=digest,
            made=_aware(made), maker=maker, expires=_time(expires), used=_time(used),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(f"token {identity} cannot be read: {error}") from error
