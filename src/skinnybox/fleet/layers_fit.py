"""Whether layers go above a master, and its guest part finds them where it is to run."""

from collections.abc import Callable, Sequence
from pathlib import Path

from skinnybox.errors import Blocked, Unsupported, UsageError
from skinnybox.hosts.base import Features
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.kernel import reads_large_clusters
from skinnybox.model import MOST_LAYERS, Layer, Master


def refuse(
    layers: Sequence[Layer],
    master: Master,
    folder: Callable[[Layer], Path],
    folder_of: Callable[[Master], Path],
) -> None:
    """UsageError for more than a machine can have, or for one twice; Blocked for what was made for another
    master; Unsupported where one would hide something of this version or a folder of another layer, or where
    its kernel could not read it."""
    if len(layers) > MOST_LAYERS:
        raise UsageError(f"{len(layers)} layers: a machine has at most {MOST_LAYERS}")
    _refuse_twice(layers)
    for layer in layers:
        if not layer.is_for(master):
            raise Blocked(
                f"the layer {layer.reference} was made for {_whom(layer)}, and goes not above"
                f" {master.reference}",
                hint=f"`skinnybox layer import` of its tree --for {master.reference}",
            )
        if layer.master != master.id:
            _refuse_hiding(layer, master, folder(layer), folder_of(master))
    refuse_apart(layers, folder)


def refuse_apart(layers: Sequence[Layer], folder: Callable[[Layer], Path]) -> None:
    """Unsupported where one would hide what is in another without a word. Who makes a machine, or puts one
    onto another master, asks; those that have such layers already go on as they are."""
    from skinnybox.masters.layers import together

    together.refuse_apart([(layer.reference, folder(layer) / INDEX) for layer in layers])


def refuse_guest(master: Master, features: Features) -> None:
    """Unsupported where its guest part does not find layers on this host."""
    if master.guest_protocol < features.layers_from:
        raise Unsupported(
            f"the guest part of {master.reference} finds no layers on this host: it speaks protocol"
            f" {master.guest_protocol}, and does so from {features.layers_from} on",
            hint="build or import the master again",
        )


def _refuse_twice(layers: Sequence[Layer]) -> None:
    """Also under two names: a host may know them by what is in them alone."""
    twice = {layer.reference for layer in layers if layers.count(layer) > 1}
    if twice:
        raise UsageError(f"the layer {min(twice)} is named twice", hint="each is of use once")
    seen: dict[str, str] = {}
    for layer in layers:
        for image in layer.images:
            other = seen.setdefault(image.digest, layer.reference)
            if other != layer.reference:
                what = f"the layers {other} and {layer.reference} hold the same files"
                raise UsageError(what, hint="name one of them")


def _whom(layer: Layer) -> str:
    return f"{layer.made_for} only" if layer.only else layer.made_for.partition(":")[0]


def _refuse_hiding(layer: Layer, master: Master, above: Path, below: Path) -> None:
    """It was looked at beside the version that it was made for, and beside no other."""
    from skinnybox.masters.layers.fitting import refuse_above

    if reads_large_clusters(layer.kernel_version) and not reads_large_clusters(master.kernel_version):
        raise Unsupported(
            f"the kernel {master.kernel_version} of {master.reference} may not read the layer"
            f" {layer.reference}, made for {layer.kernel_version}",
            hint=f"import its tree again for {master.reference}, under another version",
        )
    refuse_above(above / INDEX, layer.reference, below / INDEX, master.reference)
