"""Where nobody else may be: an address on a bridge. Elsewhere each machine is alone in its network."""

from collections.abc import Iterable
from typing import TypeAlias

from skinnybox.model.machines import Instance, Nic, StaticNetwork

Place: TypeAlias = tuple[str, str]
"""A bridge, and an address there."""


def places_of(bridge: str | None, first: StaticNetwork | None, nics: Iterable[Nic]) -> list[Place]:
    """Of a machine with any of its cards; the first is on `bridge`."""
    cards = [(bridge, first), *((nic.bridge, nic.network) for nic in nics)]
    found = [(bridge, static) for bridge, static in cards if bridge is not None and static is not None]
    return [(bridge, address_of(text)) for bridge, static in found for text in static.addresses]


def places(of: Instance) -> list[Place]:
    """Of one that is."""
    return places_of(of.bridge, of.seed.network, of.seed.nics)


def address_of(text: str) -> str:
    """Of ADDRESS/PREFIX the address, in the one way to write it; the text itself where a record has none."""
    import ipaddress  # takes 5 ms, and few machines have a static address

    try:
        return str(ipaddress.ip_interface(text).ip)
    except ValueError:
        return text


def taken(place: Place, name: str) -> str:
    """What to say of it."""
    return f"{place[1]} on {place[0]} is the address of {name}"
