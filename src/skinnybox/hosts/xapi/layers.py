"""Layers' disks in a pool: the image alone, which needs no firmware."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from skinnybox.errors import Blocked, NotFound, Unsupported
from skinnybox.hosts.xapi import maps, tags
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.hosts.xapi.shared import Shared, is_one
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


def note_master(pool: Pool, instance: Instance) -> None:
    """The disks of its layers say above which master they are: for the dom0 plugin, which has no index to see
    by whether they go together. As of the last look; no call where they do. Who may not goes on without."""
    if not instance.stack.layers:
        return
    own, *above = instance.stack.images
    for reference, record in pool.things.all("VDI"):
        fits = is_one(record) and record["other_config"].get(tags.LAYER) in above
        if fits and tags.ABOVE + own not in record["other_config"]:
            with contextlib.suppress(NotFound, Blocked):
                maps.add(pool, "VDI", reference, maps.OTHER, tags.ABOVE + own, instance.stack.reference)
