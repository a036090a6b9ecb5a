"""What the gate found: what was whole before a rebase and would not be after it."""

from dataclasses import dataclass
from enum import StrEnum

from skinnybox.printable import printable

MOST = 100
"""Findings of one machine that are told; the others are counted."""
_LONGEST = 500


class FindingKind(StrEnum):
    LIBRARY = "library"
    """A program does not find what it loads, or a version in it."""
    OWNER = "owner"
    """Files whose number is somebody else's then."""
    PRIVILEGE = "privilege"
    """A file that gives a right (setuid, setgid, a capability), of another owner."""
    CONFIGURE = "configure"
    """A maintainer script failed, or left its package half-way."""
    AUDIT = "audit"
    CHECK = "check"
    VERIFY = "verify"
    """What dpkg and apt say: --audit, apt-get check, --verify."""


OWNERS = frozenset({FindingKind.OWNER, FindingKind.PRIVILEGE})
LIBRARIES = frozenset({FindingKind.LIBRARY})


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` is for people, and fit for a terminal: what it tells of, a stranger wrote."""

    kind: FindingKind
    text: str

    @classmethod
    def of(cls, kind: FindingKind, text: str) -> "Finding":
        return cls(kind, printable(text)[:_LONGEST])
