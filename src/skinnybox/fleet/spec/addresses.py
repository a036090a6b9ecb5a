"""Static addresses of a group of machines: listed, or counted up from the first. Pure."""

import ipaddress
from collections.abc import Sequence

from skinnybox.errors import UsageError


def check(text: str) -> None:
    """An address. Raises UsageError."""
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not an address", hint="as in 10.7.0.1") from error


def check_with_prefix(text: str) -> None:
    """An address with the length of its network's prefix. Raises UsageError."""
    try:
        if "/" not in text:
            raise ValueError("no prefix length")
        ipaddress.ip_interface(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not ADDRESS/PREFIX", hint="as in 10.7.0.5/24") from error


def counted(first: str, count: int, gateway: str | None) -> list[str]:
    """So many addresses from `first` on, each in its network. Raises UsageError when there is no room, or
    one of them is the gateway's."""
    own = ipaddress.ip_interface(first)
    last = int(own.ip) + count - 1
    if last > int(_last_usable(own.network)):
        raise UsageError(f"{own.network} has no room for {count} machines from {own.ip} on")
    found = [str(own.ip + number) for number in range(count)]
    if gateway in found:
        raise UsageError(f"machine {found.index(gateway) + 1} of {count} would get the gateway's, {gateway}")
    return [f"{address}/{own.network.prefixlen}" for address in found]


def _last_usable(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """IPv4 keeps the last one for broadcasts, but in the smallest networks."""
    last = network.broadcast_address
    return last - 1 if network.version == 4 and network.prefixlen < 31 else last


def check_family(addresses: Sequence[str], gateway: str | None) -> None:
    """Raises UsageError when the gateway is of another family than an address."""
    if gateway is None:
        return
    family = ipaddress.ip_address(gateway).version
    for text in addresses:
        if ipaddress.ip_interface(text).version != family:
            raise UsageError(f"gateway {gateway} is of another family than {text}")
