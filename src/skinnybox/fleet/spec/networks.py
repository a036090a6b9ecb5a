"""The static addresses of several machines, from what is said of all of them. Pure."""

import ipaddress
from collections.abc import Sequence
from itertools import chain

from skinnybox.errors import UsageError
from skinnybox.fleet.spec import addresses
from skinnybox.fleet.spec.templates import Row, filled, is_template
from skinnybox.model import StaticNetwork
from skinnybox.printable import short

Texts = str | Sequence[str]
"""One text, or several."""


def static(own: Sequence[str], gateways: Sequence[str] = (), dns: Sequence[str] = ()) -> StaticNetwork:
    """Of addresses, or of patterns that make them. UsageError for two gateways of one family, or one of
    which no address is."""
    six = [_is_6(text) for text in own]
    ways = {_is_6(text): text for text in gateways}
    if len(ways) < len(gateways):
        raise UsageError(
            f"{' and '.join(map(short, gateways))} are of the same family", hint="a gateway for each at most"
        )
    for family, text in ways.items():
        if family not in six:
            raise UsageError(f"gateway {short(text)} is of another family than {short(own[0])}")
    return StaticNetwork(
        address=own[0],
        gateway=ways.get(six[0]),
        dns=tuple(dns),
        also=tuple(own[1:]),
        other_gateway=ways.get(not six[0]),
    )


def of_each(pattern: StaticNetwork, count: int) -> list[StaticNetwork]:
    """For each of so many machines, where each address is a pattern, or the first machine's."""
    slots = [addresses.of_each(text, count) for text in pattern.addresses]
    return _checked([static(own, pattern.gateways, pattern.dns) for own in zip(*slots, strict=True)])


def of_group(
    address: Texts | None, listed: Sequence[Texts] | None, gateway: Texts, dns: Texts, values: Sequence[Row]
) -> list[StaticNetwork]:
    """For each machine of a group, of which `values` has what templates may name; none where neither
    `address` nor `addresses` says anything. UsageError for what cannot be used."""
    if address is not None and listed is not None:
        raise UsageError("either `address` or `addresses`, not both")
    if address is not None:
        slots = [_slot(text, values) for text in _several(address)]
        own: Sequence[Sequence[str]] = list(zip(*slots, strict=True))
    else:
        addresses.check_count(listed or (), len(values) if listed is not None else 0)
        own = [_filled(_several(texts), row) for texts, row in zip(listed or (), values, strict=False)]
    found = []
    for texts, row in zip(own, values, strict=False):
        ways, servers = _filled(_several(gateway), row), _filled(_several(dns), row)
        for text in (*ways, *servers):
            addresses.check(text)
        found.append(static(texts, ways, servers))
    return _checked(found)


def _slot(text: str, values: Sequence[Row]) -> list[str]:
    """One address of each machine."""
    return (
        [filled(text, row) for row in values] if is_template(text) else addresses.of_each(text, len(values))
    )


def _filled(texts: Sequence[str], row: Row) -> list[str]:
    return [filled(text, row) if is_template(text) else text for text in texts]


def _several(texts: Texts) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts


def _checked(found: list[StaticNetwork]) -> list[StaticNetwork]:
    """What no guest could work with: see addresses.py."""
    every = list(chain.from_iterable(network.addresses for network in found))
    addresses.check_listed(every, len(every))
    places = {
        ipaddress.ip_interface(text).ip: number
        for number, network in enumerate(found, 1)
        for text in network.addresses
    }
    for network in found:
        for text in network.gateways:
            addresses.check(text)
            number = places.get(ipaddress.ip_address(text))
            if number is not None:
                raise UsageError(f"machine {number} of {len(found)} would get the gateway's, {text}")
            addresses.check_reached(network.addresses, text)
    return found


def _is_6(text: str) -> bool:
    return ":" in text
