"""The stable form of tokens; see present.py. Of a secret nothing is in it."""

from skinnybox.fleet.present import Record
from skinnybox.fleet.tokens import Token, lives


def token(found: Token) -> Record:
    """Times are ISO 8601; `fleet` null: it reaches every machine; `expires` null: never."""
    return {
        "token": found.id,
        "name": found.name,
        "role": str(found.role),
        "fleet": found.fleet,
        "state": "valid" if lives(found) else "expired",
        "made": found.made.isoformat(timespec="seconds"),
        "maker": found.maker,
        "expires": found.expires.isoformat(timespec="seconds") if found.expires else None,
        "used": found.used.isoformat(timespec="minutes") if found.used else None,
    }
