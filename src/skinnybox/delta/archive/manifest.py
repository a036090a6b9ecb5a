"""What an archive says of itself, before all that is in it and after it. Nothing here touches a file."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from skinnybox import formats
from skinnybox.delta.archive.form import MOST_MEMBERS
from skinnybox.errors import Corrupt
from skinnybox.model import Consistency, DiskKind

FORMAT = 1
MOST_MANIFEST, MOST_END = 1 << 20, 1 << 12
"""Bytes."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_IMAGE = re.compile(r"sha256:[0-9a-f]{64}")
_CONSISTENCY = {Consistency.STOPPED: "stopped", Consistency.CRASH: "crash-consistent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """`master` is a content id, `images` the digests of the images that the overlay is bound to."""

    master: str
    reference: str
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """An earlier archive: its id, and the digest that its END says."""

    id: UUID
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`machine` is a record as hosts.record has it: plain values, to be checked there by who reads them.
    `by`: the version that wrote it. `since`: only what is not as in that one is stored."""

    id: UUID
    made: datetime
    by: str
    consistency: Consistency
    disks: tuple[DiskKind, ...]
    machine: Mapping[str, Any]
    stack: Stack
    since: Since | None = None


def manifest_text(manifest: Manifest) -> bytes:
    since = manifest.since
    values = {
        "format": FORMAT, "id": str(manifest.id), "made": manifest.made.astimezone(UTC).isoformat(),
        "by": manifest.by, "consistency": _CONSISTENCY[manifest.consistency],
        "disks": [str(disk) for disk in manifest.disks], "machine": dict(manifest.machine),
        "stack": {
            "master": manifest.stack.master, "reference": manifest.stack.reference,
            "images": list(manifest.stack.images),
        },
        "since": None if since is None else {"id": str(since.id), "digest": since.digest},
    }  # fmt: skip
    return json.dumps(values, indent=1).encode() + b"\n"


def manifest_of(text: bytes) -> Manifest:
    """Raises Corrupt, and Unsupported for one of a later format."""
    try:
        values = json.loads(text) if len(text) <= MOST_MANIFEST else None
    except (ValueError, RecursionError) as error:
        raise Corrupt("the archive's manifest is no JSON") from error
    if not isinstance(values, dict):
        raise Corrupt("the archive's manifest is none")
    formats.check(values, FORMAT, "the archive")
    try:
        return _manifest(values)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Corrupt(f"the archive's manifest is damaged: {type(error).__name__} {error!s:.100}") from error


def _manifest(values: dict[str, Any]) -> Manifest:
    stack, since, machine = values["stack"], values["since"], values["machine"]
    disks = tuple(map(DiskKind, values["disks"]))
    made = datetime.fromisoformat(_text(values["made"], 40))
    if disks not in ((DiskKind.OVERLAY,), (DiskKind.OVERLAY, DiskKind.DATA)) or made.tzinfo is None:
        raise ValueError("other disks, or no time zone")
    if type(machine) is not dict or type(stack["images"]) is not list or not 0 < len(stack["images"]) <= 64:
        raise ValueError("no machine, or no stack")
    return Manifest(
        id=UUID(_text(values["id"], 36)),
        made=made,
        by=_text(values["by"], 100),
        consistency={told: kind for kind, told in _CONSISTENCY.items()}[values["consistency"]],
        disks=disks,
        machine=machine,
        stack=Stack(
            master=_matching(_IMAGE, stack["master"]),
            reference=_text(stack["reference"], 200),
            images=tuple(_matching(_IMAGE, digest) for digest in stack["images"]),
        ),
        since=None if since is None else _since(since),
    )


def _since(values: dict[str, Any]) -> Since:
    return Since(id=UUID(_text(values["id"], 36)), digest=_matching(_DIGEST, values["digest"]))


def _text(value: Any, most: int) -> str:
    if type(value) is not str or not 0 < len(value) <= most or not value.isprintable():
        raise ValueError("no proper text")
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if type(value) is not str or not pattern.fullmatch(value):
        raise ValueError("no digest")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """`members` counts those before it, `digest` is the sha256, in hex, of all bytes of the tar before it."""

    members: int
    digest: str


def end_text(end: End) -> bytes:
    return json.dumps({"members": end.members, "sha256": end.digest}).encode() + b"\n"


def end_of(text: bytes) -> End:
    """Raises Corrupt."""
    try:
        values = json.loads(text) if len(text) <= MOST_END else None
        if not isinstance(values, dict):
            raise ValueError("no end")
        members, digest = values["members"], _matching(_DIGEST, values["sha256"])
        if type(members) is not int or not 0 < members <= MOST_MEMBERS:
            raise ValueError("no number of members")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Corrupt("the archive's end makes no sense") from error
    return End(members=members, digest=digest)
