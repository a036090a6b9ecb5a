"""The layers of a state folder: `layers/<64 hex digits of the content id>/`, kept as masters are."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from skinnybox import private
from skinnybox.errors import Corrupt, NotFound
from skinnybox.masters.catalogue import (
    FOLDER_NAME,
    INDEX,
    check_file,
    check_present,
    folder,
    hex_of,
    picked,
)
from skinnybox.masters.index import read_index
from skinnybox.masters.layers.identity import content_id
from skinnybox.masters.layers.manifest import from_manifest
from skinnybox.masters.manifest import FILE
from skinnybox.model import Image, Layer, Stack
from skinnybox.operation import Operation

_FEW = 10
_AGAIN = "restore it from a backup: `skinnybox layer list` shows what there is"


def layers(store: Path) -> list[Layer]:
    """All of them, by name, then oldest first. Raises Corrupt, naming the file, for a bad manifest, and
    Blocked for one that others put there or may write to."""
    if not store.is_dir():
        return []
    found = [_read(item) for item in store.iterdir() if FOLDER_NAME.fullmatch(item.name)]
    return sorted(
        (layer for layer in found if layer), key=lambda layer: (layer.name, layer.created, layer.id)
    )


def find(store: Path, reference: str) -> Layer:
    """By NAME:VERSION, NAME (its newest), an id or its first hex digits. Raises NotFound, Conflict."""
    known = layers(store)
    found = picked(known, reference, "a layer")
    if found is None:
        names = ", ".join(layer.reference for layer in known[:_FEW])
        hint = f"there are: {names}" if known else "`skinnybox layer import` seals one"
        raise NotFound(f"no layer {reference}", hint=hint)
    return found


def layers_of(store: Path, stack: Stack) -> Iterator[tuple[Layer, Image]]:
    """Those of a machine, from the lowest up, each with the image that the machine has of it. NotFound where
    one, or that image, is gone; Corrupt for a record that cannot be."""
    if not len(stack.layers) == len(stack.layer_ids) == len(stack.images) - 1:
        raise Corrupt(
            f"its record names {len(stack.images)} images of a master and {len(stack.layers)} layers",
            hint="`skinnybox repair --dry-run` says what is known of it",
        )
    for reference, identity, digest in zip(stack.layers, stack.layer_ids, stack.images[1:], strict=True):
        layer, _ = _sealed(store / identity.removeprefix("sha256:"), reference)
        image = layer.image(digest)
        if image is None:
            raise NotFound(f"the layer {reference} has no image {digest}", hint=_AGAIN)
        yield layer, image


def _sealed(place: Path, reference: str) -> tuple[Layer, str]:
    try:
        return from_manifest(place / FILE)
    except Corrupt as error:
        if place.is_dir():
            raise
        raise NotFound(f"the layer {reference} is gone", hint=_AGAIN) from error


def verify(store: Path, layer: Layer, operation: Operation) -> None:
    """Read every byte of it. Raises Corrupt, naming the file that is not what was sealed."""
    verify_in(folder(store, layer), layer, operation)


def verify_in(where: Path, layer: Layer, operation: Operation) -> None:
    """The same of one that lies in this folder."""
    from skinnybox.masters import images  # which brings all that makes one

    sealed, index = from_manifest(where / FILE)
    if sealed != layer:
        raise Corrupt(f"{where / FILE} is not the manifest of {layer.reference}")
    operation.step(task="verify", detail=INDEX)
    check_file(where / INDEX, index)
    if content_id(where / INDEX, layer.made_for, only=layer.only, master=layer.master) != layer.id:
        raise Corrupt(f"{where / INDEX} does not give the id {layer.id}")
    newest = max(entry.mtime_ns for entry in read_index(where / INDEX)) // 1_000_000_000
    for image in layer.images:
        operation.step(task="verify", detail=image.file)
        check_present(where / image.file)
        images.check(where, image, newest=newest)


def _read(place: Path) -> Layer | None:
    with contextlib.suppress(OSError):  # it may be removed while we look
        private.refuse_others([place, *place.iterdir()])
    try:
        layer, _ = from_manifest(place / FILE)
    except Corrupt:
        if not place.is_dir():
            return None  # removed while we looked
        raise
    if hex_of(layer) != place.name:
        raise Corrupt(f"{place / FILE} belongs to another layer, {layer.id}")
    return layer
