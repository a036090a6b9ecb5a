"""manifest.json of a sealed master: its values, in a form that shows every flipped bit.

The bytes are exactly what `to_manifest` writes, and their last field is the digest of the others.
"""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.model import Image, ImageKind, Master

FILE = "manifest.json"
_FORMAT = 1
_LIMIT = 1 << 20


def to_manifest(master: Master, *, index: str) -> bytes:
    """`index` is the digest of the index file's bytes."""
    return _bytes(
        {
            "format": _FORMAT,
            "id": master.id,
            "name": master.name,
            "version": master.version,
            "created": master.created.isoformat(),
            "os": master.os,
            "architecture": master.architecture,
            "kernel_version": master.kernel_version,
            "guest_protocol": master.guest_protocol,
            "entries": master.entries,
            "tree_size": master.tree_size,
            "kernel": master.kernel,
            "initrd": master.initrd,
            "index": index,
            "images": [
                {"kind": str(image.kind), "file": image.file, "digest": image.digest, "size": image.size}
                for image in master.images
            ],
        }
    )


def from_manifest(file: Path) -> tuple[Master, str]:
    """The master and the digest of its index. Raises Corrupt or, for a later format, Unsupported."""
    record = _record(file)
    if record.get("format") != _FORMAT:
        raise Unsupported(
            f"{file} has format {record.get('format')!r}", hint="it was sealed by a later Skinnybox: upgrade"
        )
    try:
        return _master(record), record["index"]
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{file}: {error!r}") from error


def _master(record: dict[str, Any]) -> Master:
    return Master(
        id=record["id"],
        name=record["name"],
        version=record["version"],
        created=datetime.fromisoformat(record["created"]),
        os=record["os"],
        architecture=record["architecture"],
        kernel_version=record["kernel_version"],
        guest_protocol=record["guest_protocol"],
        entries=record["entries"],
        tree_size=record["tree_size"],
        kernel=record["kernel"],
        initrd=record["initrd"],
        images=tuple(_image(image) for image in record["images"]),
    )


def _image(record: dict[str, Any]) -> Image:
    return Image(
        kind=ImageKind(record["kind"]), file=record["file"], digest=record["digest"], size=record["size"]
    )


def _record(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as source:
            data = source.read(_LIMIT)
        record = json.loads(data)
    except (OSError, ValueError) as error:
        raise Corrupt(f"{file} cannot be read: {error}") from error
    if not isinstance(record, dict) or _bytes({**record, "digest": None}) != data:
        raise Corrupt(f"{file} is not what was sealed")
    return record


def _bytes(record: dict[str, Any]) -> bytes:
    rest = {key: value for key, value in record.items() if key != "digest"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**rest, "digest": f"sha256:{digest}"}, indent=2) + "\n").encode()
