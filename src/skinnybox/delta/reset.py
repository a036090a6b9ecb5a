"""What a machine starts anew with: the same base, a seed that applies again, the identity it had."""

from dataclasses import dataclass, replace

from skinnybox.errors import Corrupt, NotFound
from skinnybox.model import Instance
from skinnybox.overlays.ext4 import Volume
from skinnybox.overlays.seed import base_message, read_identity, seed_message


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """The instance as it is to be recorded after a reset, and the messages for its new overlay."""

    instance: Instance
    base: bytes
    seed: bytes
    identity: bytes


def fresh_contents(instance: Instance, volume: Volume | None) -> Fresh:
    """What a reset puts into the new overlay. `volume` is the old one; None when it cannot be read any more.

    The seed's generation goes up by one, so the guest applies it. A damaged old overlay costs the identity
    (the guest then makes a new one), never the reset.
    """
    seed = replace(instance.seed, generation=instance.seed.generation + 1)
    renewed = replace(instance, seed=seed)
    return Fresh(
        instance=renewed,
        base=base_message(renewed),
        seed=seed_message(renewed),
        identity=_identity(instance, volume),
    )


def _identity(instance: Instance, volume: Volume | None) -> bytes:
    if volume is None:
        return b""
    try:
        return read_identity(volume, instance.uuid)
    except (Corrupt, NotFound):
        return b""
