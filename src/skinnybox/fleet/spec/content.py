"""What a fleet file brings along: files beside it, public keys, and whether a seed can carry them.

Every ValueError here is for the user: pydantic takes them as what is wrong with a value.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox.errors import UsageError
from skinnybox.model import Instance, Overlay, Seed, Stack
from skinnybox.overlays.seed import seed_message
from skinnybox.sizes import format_size

_MOST_FILE = 4 << 20
_PUBLIC_KEY = re.compile(r"(?:^|\s)(?:ssh|ecdsa|sk)-\S+\s+[A-Za-z0-9+/]{20,}={0,3}(?:\s|$)")


def content_of(file: str, folder: Path) -> bytes:
    """At most 4 MiB of an ordinary file. Raises ValueError."""
    path = folder / Path(file).expanduser()
    try:
        if not path.is_file():
            raise ValueError(f"{path} is not a file" if path.exists() else f"{path} does not exist")
        with path.open("rb") as source:
            content = source.read(_MOST_FILE + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if len(content) > _MOST_FILE:
        raise ValueError(f"{path} is larger than {format_size(_MOST_FILE)}; large files belong in the master")
    return content


def public_keys(text: str) -> tuple[str, ...]:
    """The keys in it, one a line. Raises ValueError for what is none, above all for a private one."""
    if "PRIVATE KEY" in text:
        raise ValueError("that is a private key: it belongs to nobody else; the public one ends in .pub")
    lines = [line.strip() for line in text.splitlines()]
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    for key in keys or (text,):
        if not _PUBLIC_KEY.search(key):
            raise ValueError(f"{key[:40]!r} is no public key; one that lies in a file is {{file: PATH}}")
    try_seed(authorized_keys=keys)
    return keys


def try_seed(**parts: Any) -> bytes:
    """The message with this seed in it. Raises ValueError for what a seed cannot carry."""
    nobody = Instance(
        uuid=UUID(int=0),
        name="x",
        stack=Stack(master="", reference="", images=()),
        overlay=Overlay(size=0),
        seed=Seed(hostname="x", machine_id="0" * 32, **parts),
        created=datetime.fromtimestamp(0, UTC),
    )
    try:
        return seed_message(nobody)
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.hint}" if error.hint else error.message) from error
