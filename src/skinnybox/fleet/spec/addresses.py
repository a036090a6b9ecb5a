"""Static addresses of a group of machines: listed, made by a pattern, or counted up from the first. Pure.

What is refused here no guest could work with, and its machine would come up with nobody to reach it: so it is
found before anything is made.
"""

import ipaddress
from collections.abc import Sequence

from skinnybox.errors import UsageError
from skinnybox.fleet.names import unfolded
from skinnybox.printable import quoted

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
_ONLY_TWO = {4: 31, 6: 127}
"""Prefixes by family from which on a network has nothing but its machines (RFC 3021, RFC 6164)."""


def check(text: str) -> None:
    """An address. Raises UsageError."""
    try:
        if "%" in text:
            raise ValueError("a zone, which is nothing outside of one machine")
        ipaddress.ip_address(text)
    except ValueError as error:
        raise UsageError(f"{quoted(text)} is not an address", hint="as in 10.7.0.1") from error


def check_with_prefix(text: str) -> None:
    """An address with the length of its network's prefix. Raises UsageError."""
    _interface(text)


def check_of_each(text: str) -> None:
    """Like check_with_prefix; what braces make of it is looked at when the machines are known."""
    if "{" not in text:
        check_with_prefix(text)


def check_of_all(text: str) -> None:
    """Like check, and braces likewise."""
    if "{" not in text:
        check(text)


def of_each(text: str, count: int) -> list[str]:
    """For each of so many machines one: what the pattern `text` makes, or counted up from it where it is no
    pattern. Raises UsageError when there are not as many, or when one of them cannot be used."""
    if "{" not in text:
        return counted(text, count)
    found = unfolded(text)
    check_listed(found, count)
    return found


def check_listed(found: Sequence[str], count: int) -> None:
    """Whether these can be the addresses of so many machines. Raises UsageError."""
    check_count(found, count)
    addresses = [str(_usable(text).ip) for text in found]
    if len(set(addresses)) < count:
        twice = next(each for each in addresses if addresses.count(each) > 1)
        raise UsageError(f"{twice} is given twice")


def check_count(found: Sequence[object], count: int) -> None:
    if len(found) != count:
        raise UsageError(f"{len(found)} addresses for {count} machines")


def counted(first: str, count: int) -> list[str]:
    """So many addresses from `first` on, each in its network. Raises UsageError when there is no room."""
    own = _usable(first)
    last = int(own.ip) + count - 1
    if last > int(_last_usable(own.network)):
        raise UsageError(f"{own.network} has no room for {count} machines from {own.ip} on")
    return [f"{own.ip + number}/{own.network.prefixlen}" for number in range(count)]


def check_reached(found: Sequence[str], gateway: str) -> None:
    """Whether a machine with these addresses can reach its gateway. Raises UsageError."""
    way_out = ipaddress.ip_address(gateway)
    own = [each for each in map(ipaddress.ip_interface, found) if each.version == way_out.version]
    # What is link-local is on the same link, whatever the network: IPv6's usual way out is fe80::1.
    near = way_out.version == 6 and way_out.is_link_local
    if not near and not any(way_out in each.network for each in own):
        networks = " or ".join(str(each.network) for each in own)
        raise UsageError(
            f"gateway {gateway} is not in {networks}", hint="no machine there could send anything to it"
        )


def _interface(text: str) -> Interface:
    try:
        if "/" not in text or "%" in text:
            raise ValueError("no prefix length, or a zone")
        return ipaddress.ip_interface(text)
    except ValueError as error:
        raise UsageError(f"{quoted(text)} is not ADDRESS/PREFIX", hint="as in 10.7.0.5/24") from error


def _usable(text: str) -> Interface:
    """One that a machine can have."""
    own = _interface(text)
    if own.ip.is_unspecified or own.ip.is_loopback or own.ip.is_multicast:
        raise UsageError(f"{own.ip} is no address that a machine can have")
    if own.network.prefixlen < _ONLY_TWO[own.version]:
        if own.ip == own.network.network_address:
            raise UsageError(f"{own.ip} is the address of the network {own.network} itself")
        if int(own.ip) > int(_last_usable(own.network)):
            raise UsageError(f"{own.ip} is the broadcast address of {own.network}")
    return own


def _last_usable(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """IPv4 keeps the last one for broadcasts, but in the smallest networks."""
    last = network.broadcast_address
    return last - 1 if network.version == 4 and network.prefixlen < 31 else last
