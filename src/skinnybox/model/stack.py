"""What machines boot from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What an instance boots from: a master and the digests of the images, the master's first. With `dax`
    the guest maps them straight from the host's memory."""

    master: str
    reference: str
    images: tuple[str, ...]
    dax: bool = False
