"""How what is ours is told from everything else in a pool: a tag to see, and keys of other_config to go by.

tag `skinnybox`
skinnybox:instance    whose machine or disk it is, a UUID
skinnybox:record      of a machine: its record (record.py), JSON, deflated, base64
skinnybox:first       of a machine: it was made together with its overlay, which had no other before
skinnybox:role        of a disk: see Role
skinnybox:generation  of an overlay: the one with the highest counts
skinnybox:digest      of a master's disk: the digest of the image on it
skinnybox:kept        of a snapshot: what it is of, as record
skinnybox:made        of a disk: when its making began (ISO 8601, UTC)
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import Instance
from skinnybox.sizes import KIB, MIB

TAG = "skinnybox"
INSTANCE, RECORD, ROLE = "skinnybox:instance", "skinnybox:record", "skinnybox:role"
GENERATION, DIGEST, KEPT = "skinnybox:generation", "skinnybox:digest", "skinnybox:kept"
FIRST, MADE = "skinnybox:first", "skinnybox:made"
MOST = 256 * KIB
"""Of one value. The pool keeps all of them in memory on every host, and sends them in every list."""
_UNPACKED = 64 * MIB


class Role(StrEnum):
    """Of a disk. MAKING is not whole yet; what machines boot from is MASTER, a clone of SOURCE where there
    is one."""

    OVERLAY = "overlay"
    MAKING = "making"
    SNAPSHOT = "snapshot"
    UPLOAD = "upload"
    SOURCE = "source"
    MASTER = "master"


def instance_of(record: Mapping[str, Any]) -> UUID | None:
    """Whose machine or disk this is; None: nobody's we know."""
    try:
        return UUID(record["other_config"].get(INSTANCE, ""))
    except ValueError:
        return None


def role_of(record: Mapping[str, Any]) -> str:
    return str(record["other_config"].get(ROLE, ""))


def generation_of(record: Mapping[str, Any]) -> int:
    text = record["other_config"].get(GENERATION, "")
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def pack(values: Mapping[str, Any]) -> str:
    """Unsupported when it is more than a pool should carry."""
    text = base64.b64encode(zlib.compress(json.dumps(values).encode(), 9)).decode("ascii")
    if len(text) > MOST:
        raise Unsupported(
            f"its seed is too large for a pool: {len(text)} bytes, at most {MOST}",
            hint="put large files into the master, or copy them in when the machine runs",
        )
    return text


def unpack(text: str, what: str) -> dict[str, Any]:
    """Raises Corrupt, naming `what`."""
    try:
        reader = zlib.decompressobj()
        data = reader.decompress(base64.b64decode(text, validate=True), _UNPACKED)
        values = json.loads(data)
    except (ValueError, binascii.Error, zlib.error, RecursionError) as error:
        raise Corrupt(f"{what}: its record cannot be read: {error}", hint="`skinnybox repair`") from error
    if not isinstance(values, dict):
        raise Corrupt(f"{what}: its record is none", hint="`skinnybox repair`")
    return values


def record_text(instance: Instance) -> str:
    return pack(to_record(instance))


def instance_from(record: Mapping[str, Any]) -> Instance | None:
    """The instance a machine's record in the pool tells of; None when it has no record of ours."""
    text = record["other_config"].get(RECORD)
    if text is None:
        return None
    what = f"the machine {record['name_label']} ({record['other_config'].get(INSTANCE)})"
    try:
        return from_record(unpack(text, what))
    except Corrupt as error:
        raise Corrupt(f"{what}: {error.message}", hint=error.hint or "`skinnybox repair`") from error
