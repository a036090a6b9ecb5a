"""What a machine starts anew with: the same base, a seed that applies again, the identity it had."""

from dataclasses import dataclass, replace

from skinnybox.model import Instance
from skinnybox.overlays.seed import base_message, seed_message


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """The instance as it is to be recorded after a reset, and the messages for its new overlay."""

    instance: Instance
    base: bytes
    seed: bytes
    identity: bytes


def fresh_contents(instance: Instance, identity: bytes) -> Fresh:
    """What a reset puts into the new overlay. `identity` is what look.read_identity found on the old one;
    with b"" the guest makes a new one. The seed's generation goes up by one, so the guest applies it."""
    seed = replace(instance.seed, generation=instance.seed.generation + 1)
    renewed = replace(instance, seed=seed)
    return Fresh(
        instance=renewed,
        base=base_message(renewed),
        seed=seed_message(renewed),
        identity=identity,
    )
