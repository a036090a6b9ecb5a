"""Layers' disks in a pool: the image alone, which needs no firmware."""

from collections.abc import Iterator
from pathlib import Path

from skinnybox.errors import NotFound, Unsupported
from skinnybox.hosts.xapi.shared import Shared
from skinnybox.hosts.xapi.tags import Role
from skinnybox.hosts.xapi.xenstore_data import LAYERS_FROM
from skinnybox.layout import LAYERS
from skinnybox.model import Image, Instance, Layer, Master


def shared(layer: Layer, image: Image, folder: Path) -> Shared:
    """One of its images. NotFound where that is not in its folder."""
    file = folder / image.file
    if not file.is_file():
        raise NotFound(f"{folder} holds no {image.file} of the layer {layer.reference}")
    return Shared(role=Role.LAYER, reference=layer.reference, digest=image.digest, made=lambda _: file)


def of_machine(instance: Instance, master: Master, sealed: Path) -> Iterator[Shared]:
    """Those of its stack, from the lowest up; `sealed` is its master's folder. NotFound, Corrupt; Unsupported
    where its guest part would not find them."""
    if not instance.stack.layers:
        return
    from skinnybox.masters.catalogue import folder
    from skinnybox.masters.layers.catalogue import layers_of

    if master.guest_protocol < LAYERS_FROM:
        raise Unsupported(
            f"the guest part of {master.reference} finds no layers on a pool: it speaks protocol"
            f" {master.guest_protocol}, and that is known from {LAYERS_FROM} on",
            hint="build or import the master again, and rebase the machine",
        )
    store = sealed.parents[1] / LAYERS
    for layer, image in layers_of(store, instance.stack):
        yield shared(layer, image, folder(store, layer))
