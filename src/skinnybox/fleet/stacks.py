"""Stacks: which images of a master and of layers a machine boots from, and that its host has them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skinnybox.errors import Unsupported
from skinnybox.hosts.base import Features
from skinnybox.model import Image, ImageKind, Layer, Master, Stack
from skinnybox.operation import Operation

if TYPE_CHECKING:
    from skinnybox.fleet.context import Context


def of_kind(layers: Sequence[Layer], kind: ImageKind, master: Master) -> tuple[Image, ...]:
    """Their images of the kind that a machine has of the master. Unsupported where one has none."""
    return tuple(_of_kind(layer, kind, master) for layer in layers)


def stack(master: Master, dax: bool | None, features: Features, layers: Sequence[Layer] = ()) -> Stack:
    """What new machines boot from: the image asked for, else the master's first that this host can serve,
    and those of the layers that are of its kind. Unsupported when there is none."""
    if dax is None:
        dax = features.dax and master.images[0].kind is ImageKind.EROFS_PLAIN
    image = master.image_of(ImageKind.EROFS_PLAIN) if dax else master.disk
    if image is None:
        raise Unsupported(
            f"{master.reference} has no image {'to be mapped (DAX)' if dax else 'to be read as a disk'}",
            hint="seal its content again with --dax, or create without" if dax else "create with --dax",
        )
    images = (image, *of_kind(layers, image.kind, master))
    return Stack(
        master=master.id,
        reference=master.reference,
        images=tuple(each.digest for each in images),
        dax=dax,
        layers=tuple(layer.reference for layer in layers),
        layer_ids=tuple(layer.id for layer in layers),
    )


def add_to_host(context: "Context", master: Master, stack: Stack, operation: Operation) -> None:
    """What machines of this stack boot from is usable on its host. Its layers are held."""
    context.host.add_master(master, context.masters.folder(master), operation)
    if stack.layers:
        context.layers.add_to_host(stack, operation)


def as_sealed(master: Master, layers: Sequence[Layer]) -> Stack:
    """Of the master's first image, whether or not a host serves it: for who reads it here. Unsupported."""
    above = of_kind(layers, master.images[0].kind, master)
    return Stack(
        master=master.id,
        reference=master.reference,
        images=(master.images[0].digest, *(image.digest for image in above)),
        layers=tuple(layer.reference for layer in layers),
        layer_ids=tuple(layer.id for layer in layers),
    )


def _of_kind(layer: Layer, kind: ImageKind, master: Master) -> Image:
    """A master's kernel may know no other, and memory is mapped of all images or of none."""
    found = layer.image_of(kind)
    if found is None:
        has = ", ".join(image.kind for image in layer.images)
        raise Unsupported(
            f"{layer.reference} has no image of the kind {kind}, as {master.reference} has: {has}",
            hint=f"import its tree again for {master.reference}, under another version",
        )
    return found
