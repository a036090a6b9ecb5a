"""What of one `create` is each machine's own: addresses, of a pattern or counted up, and ports."""

from dataclasses import replace

from skinnybox.fleet.spec import addresses
from skinnybox.fleet.specification import Specification
from skinnybox.model.forwards import counted


def numbered(specification: Specification, count: int) -> list[Specification]:
    """One for each of so many machines, in the order of their names. UsageError when there is no room for all
    of them (in the network, beside the gateway, among the ports), or not an address for each."""
    static, forwards = specification.static_network, specification.forwards
    if not (static or forwards):
        return [specification] * count
    networks = [None] * count if static is None else [
        replace(static, address=address)
        for address in addresses.of_each(static.address, count, static.gateway)
    ]  # fmt: skip
    return [
        replace(specification, static_network=network, forwards=counted(forwards, number))
        for number, network in enumerate(networks)
    ]
