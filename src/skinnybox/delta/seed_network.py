"""The network settings that the guest part writes from a seed (guest/lib/network.sh), in each of the forms
there are: a guest has one of them. tests/guest/test_seed_expected.py holds that the two say the same."""

from collections.abc import Iterator

from skinnybox.model import StaticNetwork

_PATTERNS = ("en*", "eth*")
_BY_US = "# Written from the seed by skinnybox.\n"
_MANAGER = "/etc/NetworkManager/system-connections/skinnybox.nmconnection"
_SUSE = "/etc/sysconfig/network"

Written = Iterator[tuple[str, int, str]]


def written(network: StaticNetwork | None) -> Written:
    """Path, mode and content of each file; None is DHCP."""
    yield "/etc/systemd/network/10-skinnybox.network", 0o644, "".join(_for_networkd(network))
    yield "/etc/network/interfaces.d/skinnybox", 0o644, "".join(_for_ifupdown(network))
    yield "/etc/network/interfaces", 0o644, "".join(_for_alpine(network))
    yield _MANAGER, 0o600, "".join(_for_network_manager(network))
    yield f"{_SUSE}/ifcfg-eth0", 0o644, "".join(_for_wicked(network))
    if network is None:
        return
    if network.gateway:
        yield f"{_SUSE}/ifroute-eth0", 0o644, f"default {network.gateway} - eth0\n"
    if network.dns:
        yield "/etc/resolv.conf", 0o644, "".join(f"nameserver {server}\n" for server in network.dns)


def _for_networkd(network: StaticNetwork | None) -> Iterator[str]:
    yield f"{_BY_US}[Match]\nName={' '.join(_PATTERNS)}\n\n[Network]\n"
    if network is None:
        yield "DHCP=yes\n"
        return
    yield f"Address={network.address}\n"
    if network.gateway:
        yield f"Gateway={network.gateway}\n"
    if network.dns:
        yield f"DNS={' '.join(network.dns)}\n"


def _for_ifupdown(network: StaticNetwork | None) -> Iterator[str]:
    yield _BY_US
    yield from (f"auto /{pattern}=skinnybox\n" for pattern in _PATTERNS)
    yield from _interface("skinnybox", network)


def _for_alpine(network: StaticNetwork | None) -> Iterator[str]:
    yield f"{_BY_US}auto lo\niface lo inet loopback\n\nauto eth0\n"
    yield from _interface("eth0", network)


def _interface(name: str, network: StaticNetwork | None) -> Iterator[str]:
    if network is None:
        yield f"iface {name} inet dhcp\n"
        return
    yield f"iface {name} {'inet6' if _is_6(network.address) else 'inet'} static\n"
    yield f"    address {network.address}\n"
    if network.gateway:
        yield f"    gateway {network.gateway}\n"


def _for_wicked(network: StaticNetwork | None) -> Iterator[str]:
    yield f"{_BY_US}STARTMODE='auto'\nBOOTPROTO='{'dhcp' if network is None else 'static'}'\n"
    if network is not None:
        yield f"IPADDR='{network.address}'\n"


def _for_network_manager(network: StaticNetwork | None) -> Iterator[str]:
    yield f"{_BY_US}[connection]\nid=skinnybox\ntype=ethernet\nautoconnect-priority=100\nmulti-connect=3\n\n"
    yield f"[match]\ninterface-name={''.join(f'{pattern};' for pattern in _PATTERNS)}"
    for family in ("ipv4", "ipv6"):
        yield f"\n\n[{family}]\n"
        yield from _family(network, six=family == "ipv6")


def _family(network: StaticNetwork | None, *, six: bool) -> Iterator[str]:
    if network is None or (six and not _is_6(network.address)):
        yield "method=auto\n"
    elif _is_6(network.address) and not six:
        yield "method=disabled\n"
        return
    else:
        gateway = f",{network.gateway}" if network.gateway else ""
        yield f"method=manual\naddress1={network.address}{gateway}\n"
    servers = [server for server in network.dns if _is_6(server) is six] if network else []
    if servers:
        yield f"dns={''.join(f'{server};' for server in servers)}"


def _is_6(address: str) -> bool:
    return ":" in address
