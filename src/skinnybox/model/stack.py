"""What machines boot from."""

from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What an instance boots from: a master, its layers from the lowest up, and the digests of the images,
    the master's first. `layers` are what they were called, `layer_ids` their ids. With `dax` the guest maps
    the images straight from the host's memory."""

    master: str
    reference: str
    images: tuple[str, ...]
    dax: bool = False
    layers: tuple[str, ...] = ()
    layer_ids: tuple[str, ...] = ()
