"""manifest.json of a sealed master: its values, in a form that shows every flipped bit.

The bytes are exactly what `to_manifest` writes, and their last field is the digest of the others.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from skinnybox import formats, named_file
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.model import Image, ImageKind, Master

FILE = "manifest.json"
_FORMAT = 1
KINDS = frozenset(ImageKind)
"""A later Skinnybox may add images of other kinds beside those an earlier one can use."""
_LIMIT = 1 << 20
_TYPES = {
    **dict.fromkeys(("id", "name", "version", "os", "architecture", "kernel_version", "index"), str),
    **dict.fromkeys(("kernel", "initrd", "created"), str),
    **dict.fromkeys(("guest_protocol", "entries", "tree_size"), int),
    "images": list,
}
_PLACES = ("placed", "left_out")
"""Later than the first version: not in every manifest."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
FILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""An image lies in its master's folder and nowhere else, whatever a manifest says."""


def to_manifest(master: Master, *, index: str) -> bytes:
    """`index` is the digest of the index file's bytes."""
    return as_bytes(
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
            "images": to_images(master.images),
            "placed": list(master.placed),
            "left_out": list(master.left_out),
            "made_from": master.made_from,
        }
    )


def with_images(file: Path, images: Sequence[Image]) -> bytes:
    """The manifest in `file` with more images, which come first. What a later Skinnybox wrote into it, such
    as images of other kinds that machines may be bound to, stays. Raises like from_manifest."""
    from_manifest(file)
    record = record_of(file)
    return as_bytes({**record, "images": [*to_images(images), *record["images"]]})


def from_manifest(file: Path) -> tuple[Master, str]:
    """The master and the digest of its index. Raises Corrupt or, for a later format, Unsupported."""
    record = record_of(file)
    formats.check(record, _FORMAT, str(file))
    try:
        _check_types(record)
        master = _master(record)
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{file}: {error!r}") from error
    if not master.images:
        raise Unsupported(f"{file} names no image that can be used here", hint="upgrade Skinnybox")
    return master, record["index"]


def to_images(images: Sequence[Image]) -> list[dict[str, Any]]:
    return [
        {"kind": str(image.kind), "file": image.file, "digest": image.digest, "size": image.size}
        for image in images
    ]


def _check_types(record: dict[str, Any]) -> None:
    for key, kind in _TYPES.items():
        if type(record[key]) is not kind:
            raise TypeError(key)
    for key in _PLACES:
        if not (type(record.get(key, [])) is list and all(type(p) is str for p in record.get(key, []))):
            raise TypeError(key)
    if type(record.get("made_from")) not in (str, type(None)):
        raise TypeError("made_from")
    check_images(record["images"])


def check_images(images: Sequence[Any]) -> None:
    """Raises ValueError, TypeError or KeyError for what is no image in a manifest."""
    for image in images:
        if not (
            type(image["size"]) is int
            and _DIGEST.fullmatch(image["digest"])
            and FILE_NAME.fullmatch(image["file"])
        ):
            raise ValueError(f"image {image['file']!r}")


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
        images=tuple(image_of(image) for image in record["images"] if image["kind"] in KINDS),
        placed=tuple(record.get("placed", ())),
        left_out=tuple(record.get("left_out", ())),
        made_from=record.get("made_from"),
    )


def image_of(record: dict[str, Any]) -> Image:
    return Image(
        kind=ImageKind(record["kind"]), file=record["file"], digest=record["digest"], size=record["size"]
    )


def record_of(file: Path) -> dict[str, Any]:
    try:
        data = named_file.content(file, _LIMIT)
        record: dict[str, Any] = json.loads(data)
        whole = isinstance(record, dict) and as_bytes(record) == data
    except (OSError, ValueError, RecursionError) as error:
        raise Corrupt(f"{file} cannot be read: {error}") from error
    if not whole:
        raise Corrupt(f"{file} is not what was sealed")
    return record


def as_bytes(record: dict[str, Any]) -> bytes:
    rest = {key: value for key, value in record.items() if key != "digest"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**rest, "digest": f"sha256:{digest}"}, indent=2) + "\n").encode()
