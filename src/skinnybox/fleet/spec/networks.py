"""The static addresses of a group, from what its keys say. Pure."""

from collections.abc import Sequence

from skinnybox.errors import UsageError
from skinnybox.fleet.spec import addresses
from skinnybox.fleet.spec.templates import Row, filled, is_template
from skinnybox.model import StaticNetwork


def of_each(
    found: Sequence[str], gateway: str | None, dns: Sequence[str], values: Sequence[Row]
) -> list[StaticNetwork]:
    """For each machine, of which `found` has the addresses and `values` what templates may name. UsageError
    for what cannot be used."""
    gateways = [gateway and _address(gateway, row) for row in values]
    addresses.check_gateways(found, gateways)
    servers = [tuple(_address(text, row) for text in dns) for row in values]
    return [
        StaticNetwork(address=address, gateway=way_out, dns=own)
        for address, way_out, own in zip(found, gateways, servers, strict=True)
    ]


def addresses_of(address: str | None, listed: Sequence[str] | None, values: Sequence[Row]) -> list[str]:
    """Of `address` and `addresses` of a group; none where neither says anything."""
    if address is not None and listed is not None:
        raise UsageError("either `address` or `addresses`, not both")
    if address is not None and not is_template(address):
        return addresses.of_each(address, len(values))
    texts = [address] * len(values) if address is not None else list(listed or ())
    if address is not None or listed is not None:
        addresses.check_count(texts, len(values))
    made = [_filled(text, row) for text, row in zip(texts, values, strict=False)]
    addresses.check_listed(made, len(made))
    return made


def _filled(text: str, row: Row) -> str:
    return filled(text, row) if is_template(text) else text


def _address(text: str, row: Row) -> str:
    made = _filled(text, row)
    addresses.check(made)
    return made
