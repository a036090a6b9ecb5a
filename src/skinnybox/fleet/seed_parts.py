"""Whether a seed can carry what it is to: asked before anything is made, by whoever takes it from a user."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from skinnybox.errors import UsageError
from skinnybox.model import DataDisk, Instance, Overlay, Seed, Stack
from skinnybox.overlays.seed import seed_message
from skinnybox.printable import quoted
from skinnybox.values import replace

_PUBLIC_KEY = re.compile(r"(?:^|\s)(?:ssh|ecdsa|sk)-\S+\s+[A-Za-z0-9+/]{20,}={0,3}(?:\s|$)")


def public_keys(text: str) -> tuple[str, ...]:
    """The keys in it, one a line. Raises UsageError for what is none, above all for a private one."""
    if "PRIVATE KEY" in text:
        raise UsageError("that is a private key: it belongs to nobody else; the public one ends in .pub")
    lines = [line.strip() for line in text.splitlines()]
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    for key in keys or (text,):
        if not _PUBLIC_KEY.search(key):
            hint = "in a fleet file, one that lies in a file is {file: PATH}"
            raise UsageError(f"{quoted(key)} is no public key", hint=hint)
    message_of(authorized_keys=keys)
    return keys


def message_of(user: str = "root", data: DataDisk | None = None, **parts: Any) -> bytes:
    """The message of a seed with these parts. Raises UsageError for what it cannot carry."""
    nobody = Instance(
        uuid=UUID(int=0),
        name="x",
        stack=Stack(master="", reference="", images=()),
        overlay=Overlay(size=0),
        seed=Seed(machine_id="0" * 32, **{"hostname": "x", **parts}),
        created=datetime.fromtimestamp(0, UTC),
        ssh_user=user,
        data=data,
    )
    return seed_message(nobody)


def with_key_for(seed: Seed, key: str, own: str) -> Seed:
    """Where `key` lets in, `own` does so instead, in the next generation."""
    if key == own or key not in seed.authorized_keys:
        return seed
    keys = tuple(dict.fromkeys(own if each == key else each for each in seed.authorized_keys))
    return replace(seed, authorized_keys=keys, generation=seed.generation + 1)
