"""What dpkg keeps in its status file, changed without it."""

import re
from pathlib import Path

from skinnybox.masters import inside

_STATUS = "var/lib/dpkg/status"
_LARGEST = 64 << 20
_INSTALLED = re.compile(rb"(?m)^Status: install (ok installed)$")


def is_free(tree: Path, package: str) -> bool:
    """Whether it is installed, and may be upgraded."""
    text = inside.read(tree, _STATUS, _LARGEST) or b""
    head = b"Package: " + package.encode() + b"\n"
    return any(one.startswith(head) and _INSTALLED.search(one) for one in text.split(b"\n\n"))


def hold(tree: Path, *prefixes: str) -> None:
    """Packages whose name begins with one of these are not upgraded (`apt-mark hold`)."""
    text = inside.read(tree, _STATUS, _LARGEST)
    if text is None or len(text) == _LARGEST:
        return
    heads = tuple(b"Package: " + prefix.encode() for prefix in prefixes)
    stanzas = text.split(b"\n\n")
    held = [_INSTALLED.sub(rb"Status: hold \1", one) if one.startswith(heads) else one for one in stanzas]
    inside.rewrite(tree, _STATUS, b"\n\n".join(held))
