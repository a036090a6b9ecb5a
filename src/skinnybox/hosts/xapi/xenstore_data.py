"""What a machine is told through xenstore: keys below `vm-data/skinnybox/` of VM.xenstore_data.

    instance              the UUID it has to find on its overlay
    nonce                 what the guest's report has to repeat, 32 hexadecimal digits: of our last start, or
                          of the machine's making, for its first
    master, overlay       the two disks by their names on Xen: xvda, xvdb
    data                  the same of a data disk: xvdc
    layers                the same of the layers' disks, the lowest layer's first: xvde,xvdf
    format                the instance's UUID: a blank overlay may be formatted, for this machine only
    base, seed            into how many parts the message is split; base-0, base-1, ...: its base64

A value is at most 2,000 bytes: xenstore takes 4,096 with the path. Everybody who may read the machine's
record reads all of it, so neither keys nor passwords belong there; the identity never is. And the guest may
write there what it likes: telling.py.
"""

import base64
import secrets
from collections.abc import Mapping

from skinnybox.errors import Unsupported
from skinnybox.hosts.base import Contents
from skinnybox.model import MOST_LAYERS, DiskKind, Instance
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.sizes import KIB

PREFIX = "vm-data/skinnybox/"
PART = 2000
MOST = 32 * KIB
"""Of the two messages together; what is longer is put on the overlay itself."""
MASTER_DEVICE, OVERLAY_DEVICE, DATA_DEVICE = "xvda", "xvdb", "xvdc"
PLACES = {DiskKind.OVERLAY: "1", DiskKind.DATA: "2"}
LAYERS_FROM = 6
"""The protocol of guest parts from which on they look for layers by these names: before, by serials, which no
disk has on Xen."""
_FIRST_LAYER = 4
"""A pool's tools put a machine's CD drive at 3, the last place that is emulated (as IDE) besides."""
FORMAT = "format"
UNTOLD = "-"
"""In place of a nonce: what a guest says that was told none, as machines of an earlier version are."""
NONCE = f"{PREFIX}nonce"
ORDER = f"{PREFIX}{FORMAT}"


def contents_of(instance: Instance) -> Contents:
    """What a blank overlay of this machine stands for."""
    return Contents(base=base_message(instance), seed=seed_message(instance))


def fits(contents: Contents, instance: Instance) -> bool:
    """Whether all of it can be told, so that the overlay may be blank."""
    return contents == contents_of(instance) and len(contents.base) + len(contents.seed) <= MOST


def told(instance: Instance, *, blank: bool) -> dict[str, str]:
    """For xenstore_data, before any start. `blank`: the overlay still has to be formatted."""
    said = {"instance": str(instance.uuid), "master": MASTER_DEVICE, "overlay": OVERLAY_DEVICE}
    if instance.data is not None:
        said["data"] = DATA_DEVICE
    if len(instance.stack.images) > 1:
        said["layers"] = ",".join(f"xvd{chr(ord('a') + place)}" for place in _layers(instance))
    contents = contents_of(instance)
    if fits(contents, instance):
        said |= _parts("base", contents.base) | _parts("seed", contents.seed)
        if blank:
            said[FORMAT] = str(instance.uuid)
    return {f"{PREFIX}{key}": value for key, value in said.items()}


def shared_places(instance: Instance) -> dict[str, str]:
    """Of each image it boots from, by its digest, where its disk is attached. Unsupported for more layers
    than a machine can have."""
    return dict(zip(instance.stack.images, map(str, (0, *_layers(instance))), strict=True))


def _layers(instance: Instance) -> range:
    count = len(instance.stack.images) - 1
    if count > MOST_LAYERS:
        raise Unsupported(f"{instance.name} has {count} layers: a machine has at most {MOST_LAYERS}")
    return range(_FIRST_LAYER, _FIRST_LAYER + count)


def fresh_nonce() -> str:
    """Which no report can have repeated yet. Who starts a machine past us (XenCenter, XO, a restart of its
    host) cannot give it one, so that there has to be one before."""
    return secrets.token_hex(16)


def merged(before: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """What others put there stays."""
    return {key: value for key, value in before.items() if not key.startswith(PREFIX)} | dict(ours)


def _parts(name: str, message: bytes) -> dict[str, str]:
    text = base64.b64encode(message).decode("ascii")
    parts = [text[at : at + PART] for at in range(0, len(text), PART)]
    return {name: str(len(parts))} | {f"{name}-{number}": part for number, part in enumerate(parts)}
