"""What of one `create` is each machine's own: addresses, of a pattern or counted up, and ports."""

from collections.abc import Sequence
from dataclasses import replace

from skinnybox.fleet.spec import addresses
from skinnybox.fleet.specification import Specification
from skinnybox.model import StaticNetwork
from skinnybox.model.forwards import counted


def numbered(specification: Specification, count: int) -> list[Specification]:
    """One for each of so many machines, in the order of their names. UsageError when there is no room for all
    of them (in the network, beside the gateway, among the ports), or not an address for each."""
    static, forwards = specification.static_network, specification.forwards
    if not (static or forwards):
        return [specification] * count
    networks: Sequence[StaticNetwork | None]
    networks = [None] * count if static is None else networks_of(static, count)
    return [
        replace(specification, static_network=network, forwards=counted(forwards, number))
        for number, network in enumerate(networks)
    ]


def networks_of(static: StaticNetwork, count: int) -> list[StaticNetwork]:
    """One for each of so many machines. UsageError as `numbered` says."""
    found = addresses.of_each(static.address, count)
    addresses.check_gateways(found, [static.gateway] * count)
    return [replace(static, address=address) for address in found]
