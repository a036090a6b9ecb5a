"""What things may be called."""

import re

from skinnybox.errors import UsageError
from skinnybox.printable import quoted

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SNAPSHOT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_REFERENCE = r"([a-z0-9][a-z0-9._-]{0,63})(?::([A-Za-z0-9][A-Za-z0-9._-]{0,63}))?"


def check_name(name: str) -> str:
    """An instance's name is also its hostname: one RFC 1123 label, in lower case. Raises UsageError."""
    if not _LABEL.fullmatch(name):
        raise UsageError(
            f"{quoted(name)} is not a machine name",
            hint="lower-case letters, digits and inner hyphens, at most 63: web-01",
        )
    return name


def check_label(label: str) -> str:
    """A snapshot's label: letters, digits, and `. _ -` behind the first, at most 64. Raises UsageError."""
    if not re.fullmatch(_SNAPSHOT, label):
        raise UsageError(
            f"{quoted(label)} is no label of a snapshot",
            hint="letters, digits, and . _ - behind the first, at most 64: before-upgrade",
        )
    return label


def parse_reference(text: str, what: str = "a master") -> tuple[str, str | None]:
    """`NAME` or `NAME:VERSION`. Raises UsageError, which says `what` it should have named."""
    found = re.fullmatch(_REFERENCE, text)
    if not found:
        raise UsageError(
            f"{quoted(text)} does not name {what}", hint="NAME or NAME:VERSION, as in lamp:2026-11"
        )
    return found[1], found[2]
