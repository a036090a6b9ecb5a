"""How what is ours is told from everything else in a pool: a tag to see, and keys of other_config to go by.

tag `skinnybox`
skinnybox:instance    whose machine or disk it is, a UUID
skinnybox:fleet       of which state folder (identity.py) that is, or who uploaded a shared disk: a UUID
skinnybox:record      of a machine: its record (record.py), JSON, deflated, base64
skinnybox:first       of a machine: it was made together with its overlay, which had no other before
skinnybox:start       of a machine: the nonce it was given last, at its making, at a start by us (but the
                      first of all) or with a new overlay; when we started it last (ISO 8601, UTC); and the
                      nonce before that start, if that was another
skinnybox:role        of a disk: see Role
skinnybox:disk        of a disk that is or was a data disk, or a copy of one: `data`
skinnybox:generation  of an overlay or a data disk: the one with the highest counts
skinnybox:digest      of a master's disk: the digest of the image on it
skinnybox:layer       the same of a layer's disk. No digest stands there, by which an earlier version and the
                      plugin would take it for a master
skinnybox:above:...   of a layer's disk, with the digest of a master's image: a machine was made of the two,
                      after a look whether they go together. The dom0 plugin, which cannot look, goes by it
skinnybox:label       of a snapshot: what it is called; of an overlay: what it is to be called once another
                      has taken its place
skinnybox:kept        of the same: what it is of, as record
skinnybox:made        of a disk: when its making began (ISO 8601, UTC)

A guest can write none of it: it stands in the pool's database alone. A key that is being replaced has its
successor beside it, with NEXT behind its name (maps.py).
"""

import base64
import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from skinnybox.errors import Corrupt, SkinnyboxError, Unsupported
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import DiskKind, Instance
from skinnybox.sizes import KIB, MIB

TAG = "skinnybox"
INSTANCE, RECORD, ROLE = "skinnybox:instance", "skinnybox:record", "skinnybox:role"
GENERATION, DIGEST, KEPT = "skinnybox:generation", "skinnybox:digest", "skinnybox:kept"
FIRST, MADE, FLEET = "skinnybox:first", "skinnybox:made", "skinnybox:fleet"
START, DISK, LABEL = "skinnybox:start", "skinnybox:disk", "skinnybox:label"
LAYER, ABOVE = "skinnybox:layer", "skinnybox:above:"
NEXT = ".next"
MOST = 256 * KIB
"""Of one value. The pool keeps all of them in memory on every host, and sends them in every list."""
_UNPACKED = 64 * MIB
_YOUNG = timedelta(hours=1)
"""An upload may take so long."""


class Role(StrEnum):
    """Of a disk. MAKING is not whole yet, SUPERSEDED was an overlay or a data disk until another took its
    place, MOMENT is what a copy of a running machine needs; what machines boot from is MASTER or LAYER, a
    clone of SOURCE where there is one."""

    OVERLAY = "overlay"
    DATA = "data"
    MAKING = "making"
    SUPERSEDED = "superseded"
    MOMENT = "moment"
    SNAPSHOT = "snapshot"
    DATA_SNAPSHOT = "data-snapshot"
    UPLOAD = "upload"
    SOURCE = "source"
    MASTER = "master"
    LAYER = "layer"


def of(instance: Instance, fleet: UUID) -> dict[str, str]:
    """What everything of one machine bears."""
    return {INSTANCE: str(instance.uuid), FLEET: str(fleet)}


def of_kind(kind: DiskKind) -> dict[str, str]:
    """What tells the kind, whatever its role is: those of overlays never said it."""
    return {DISK: kind.value} if kind is DiskKind.DATA else {}


def kind_of(record: Mapping[str, Any]) -> DiskKind:
    return DiskKind.DATA if record["other_config"].get(DISK) == DiskKind.DATA else DiskKind.OVERLAY


def digest_of(record: Mapping[str, Any]) -> str | None:
    """Of a disk that machines share, a master's or a layer's: the image on it."""
    config = record["other_config"]
    found: str | None = config.get(DIGEST, config.get(LAYER))
    return found


def instance_of(record: Mapping[str, Any]) -> UUID | None:
    """Whose machine or disk this is; None: nobody's we know."""
    return _uuid(record, INSTANCE)


def fleet_of(record: Mapping[str, Any]) -> UUID | None:
    """Which state folder's it is."""
    return _uuid(record, FLEET)


def instance_for(fleet: UUID | None, record: Mapping[str, Any]) -> UUID | None:
    """The same of what is this state folder's; of others' None."""
    return instance_of(record) if fleet is not None and fleet_of(record) == fleet else None


def _uuid(record: Mapping[str, Any], key: str) -> UUID | None:
    try:
        return UUID(record["other_config"].get(key, ""))
    except ValueError:
        return None


def is_young(record: Mapping[str, Any]) -> bool:
    """Of a disk: it was begun lately, by the clock of whoever began it."""
    try:
        made = datetime.fromisoformat(record["other_config"].get(MADE, ""))
        return datetime.now(UTC) - made < _YOUNG
    except (ValueError, TypeError):
        return False


def _value(record: Mapping[str, Any], key: str) -> str | None:
    """Also when somebody was killed while it was replaced."""
    found: str | None = record["other_config"].get(key, record["other_config"].get(key + NEXT))
    return found


def role_of(record: Mapping[str, Any]) -> str:
    return _value(record, ROLE) or ""


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
    except (ValueError, zlib.error, RecursionError) as error:
        raise Corrupt(f"{what}: its record cannot be read: {error}", hint="`skinnybox repair`") from error
    if not isinstance(values, dict):
        raise Corrupt(f"{what}: its record is none", hint="`skinnybox repair`")
    return values


def record_text(instance: Instance) -> str:
    return pack(to_record(instance))


def readable_instance(record: Mapping[str, Any]) -> Instance | None:
    """The same for who looks at many: None also when its record cannot be read."""
    try:
        return instance_from(record)
    except SkinnyboxError:
        return None


def instance_from(record: Mapping[str, Any]) -> Instance | None:
    """The instance a machine's record in the pool tells of; None when it has no record of ours."""
    text = _value(record, RECORD)
    if text is None:
        return None
    what = f"the machine {record['name_label']} ({record['other_config'].get(INSTANCE)})"
    try:
        return from_record(unpack(text, what))
    except Corrupt as error:
        raise Corrupt(f"{what}: {error.message}", hint=error.hint or "`skinnybox repair`") from error
