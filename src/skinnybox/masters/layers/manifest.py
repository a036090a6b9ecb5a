"""manifest.json of a sealed layer, written and read as a master's is."""

from datetime import datetime
from pathlib import Path
from typing import Any

from skinnybox import formats
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.masters.manifest import KINDS, as_bytes, check_images, image_of, record_of, to_images
from skinnybox.model import Layer

_FORMAT = 1
_TYPES = {
    **dict.fromkeys(("id", "name", "version", "master", "made_for", "architecture"), str),
    **dict.fromkeys(("kernel_version", "index", "created"), str),
    **dict.fromkeys(("entries", "tree_size"), int),
    "only": bool,
    "images": list,
}


def to_manifest(layer: Layer, *, index: str) -> bytes:
    """`index` is the digest of the index file's bytes."""
    return as_bytes(
        {
            "format": _FORMAT,
            "layer": True,
            "id": layer.id,
            "name": layer.name,
            "version": layer.version,
            "created": layer.created.isoformat(),
            "master": layer.master,
            "made_for": layer.made_for,
            "only": layer.only,
            "architecture": layer.architecture,
            "kernel_version": layer.kernel_version,
            "entries": layer.entries,
            "tree_size": layer.tree_size,
            "index": index,
            "images": to_images(layer.images),
        }
    )


def from_manifest(file: Path) -> tuple[Layer, str]:
    """The layer and the digest of its index. Raises Corrupt or, for a later format, Unsupported."""
    record = record_of(file)
    formats.check(record, _FORMAT, str(file))
    try:
        for key, kind in _TYPES.items():
            if type(record[key]) is not kind:
                raise TypeError(key)
        check_images(record["images"])
        layer = _layer(record)
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{file}: {error!r}") from error
    if not layer.images:
        raise Unsupported(f"{file} names no image that can be used here", hint="upgrade Skinnybox")
    return layer, record["index"]


def _layer(record: dict[str, Any]) -> Layer:
    return Layer(
        id=record["id"],
        name=record["name"],
        version=record["version"],
        created=datetime.fromisoformat(record["created"]),
        master=record["master"],
        made_for=record["made_for"],
        only=record["only"],
        architecture=record["architecture"],
        kernel_version=record["kernel_version"],
        entries=record["entries"],
        tree_size=record["tree_size"],
        images=tuple(image_of(image) for image in record["images"] if image["kind"] in KINDS),
    )
