"""The images that a machine boots from, opened: its master's, and those of its layers above it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from skinnybox.errors import NotFound, Unsupported
from skinnybox.hosts.qemu.command_line import OpenImage
from skinnybox.layout import LAYERS
from skinnybox.model import ImageKind, Instance, Master


def opened(files: ExitStack, instance: Instance, master: Master, sealed: Path) -> tuple[OpenImage, ...]:
    """In the stack's order, closed with `files`. `sealed` is the master's folder. NotFound, Unsupported."""
    own = _image(files, instance, master, sealed, instance.stack.images[0])
    return (own, *_layers(files, instance, sealed.parents[1] / LAYERS))


def _image(files: ExitStack, instance: Instance, master: Master, sealed: Path, digest: str) -> OpenImage:
    image = master.image(digest)
    if image is None:
        raise NotFound(
            f"{master.reference} has no image {digest}", hint=f"{instance.name} was made from another image"
        )
    if instance.stack.dax and image.kind is not ImageKind.EROFS_PLAIN:
        raise Unsupported(f"{image.file} of {master.reference} is made to be read: a guest cannot map it")
    return OpenImage(descriptor=readable(files, sealed / image.file), size=image.size)


def _layers(files: ExitStack, instance: Instance, store: Path) -> Iterator[OpenImage]:
    if instance.stack.layers:
        from skinnybox.masters.catalogue import folder
        from skinnybox.masters.layers.catalogue import layers_of

        for layer, image in layers_of(store, instance.stack):
            descriptor = readable(files, folder(store, layer) / image.file)
            yield OpenImage(descriptor=descriptor, size=image.size)


def readable(files: ExitStack, path: Path) -> int:
    """A descriptor that goes with `files`. NotFound."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}", hint="`skinnybox master verify`") from error
    files.callback(os.close, descriptor)
    return descriptor
