"""The network settings that the guest part writes from a seed (guest/lib: network.sh and what it names), in
each of the forms there are: a guest has one of them. tests/guest/test_seed_expected.py holds that the two say
the same."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from skinnybox.model import Instance, StaticNetwork

_PATTERNS = ("en*", "eth*")
_BY_US = "# Written from the seed by skinnybox.\n"
_MANAGER = "/etc/NetworkManager/system-connections"
_NETWORKD = "/etc/systemd/network"
_SUSE = "/etc/sysconfig/network"
_NO_ADDRESS = "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"

Written = Iterator[tuple[str, int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """As the guest reads it: `method` is dhcp, none or static. Without a `mac` it is whatever is there."""

    number: int = 0
    method: str = "dhcp"
    mac: str | None = None
    network: StaticNetwork | None = None
    vlan: int | None = None

    @property
    def addresses(self) -> Sequence[str]:
        return self.network.addresses if self.network else ()

    @property
    def gateways(self) -> Sequence[str]:
        return self.network.gateways if self.network else ()

    @property
    def dns(self) -> Sequence[str]:
        return self.network.dns if self.network else ()

    @property
    def tagged(self) -> str:
        return f"nic{self.number}v{self.vlan}"

    def numbered(self, name: str) -> str:
        return f"{name}-{self.number}" if self.number else name


def written(instance: Instance) -> Written:
    """Path, mode and content of each file."""
    cards = _cards(instance)
    for card in cards:
        yield from _for_networkd(card)
        name = card.numbered("skinnybox")
        yield f"/etc/network/interfaces.d/{name}", 0o644, "".join(_for_ifupdown(card, name))
        yield from _for_network_manager(card, name)
        yield from _for_wicked(card)
    yield "/etc/network/interfaces", 0o644, "".join(_for_alpine(cards))
    if cards[0].dns:
        servers = "".join(f"nameserver {server}\n" for server in cards[0].dns)
        yield "/etc/resolv.conf", 0o644, _BY_US + servers


def _cards(instance: Instance) -> Sequence[Card]:
    seed = instance.seed
    first = Card(
        method="static" if seed.network else "dhcp",
        network=seed.network,
        mac=instance.mac if seed.nics else None,
    )
    others = (
        Card(
            number=number,
            method="none" if nic.manual else "static" if nic.network else "dhcp",
            network=nic.network,
            mac=instance.mac_of(number),
            vlan=nic.vlan,
        )
        for number, nic in enumerate(seed.nics, 1)
    )
    return (first, *others)


def _for_networkd(card: Card) -> Written:
    """Its place is another beside netplan."""
    match = f"MACAddress={card.mac}" if card.mac else f"Name={' '.join(_PATTERNS)}"
    for first in ("10", "05"):
        file = card.numbered(f"{_NETWORKD}/{first}-skinnybox")
        if card.vlan is None:
            yield f"{file}.network", 0o644, "".join(_networkd(card, match))
            continue
        tagged = f"{_BY_US}[NetDev]\nName={card.tagged}\nKind=vlan\n\n[VLAN]\nId={card.vlan}\n"
        yield f"{file}.netdev", 0o644, tagged
        yield f"{file}-vlan.network", 0o644, "".join(_networkd(card, f"Name={card.tagged}"))
        parent = f"{_BY_US}[Match]\n{match}\n\n[Network]\nVLAN={card.tagged}\n{_NO_ADDRESS}"
        yield f"{file}.network", 0o644, parent


def _networkd(card: Card, match: str) -> Iterator[str]:
    yield f"{_BY_US}[Match]\n{match}\n\n[Network]\n"
    if card.method == "none":
        yield _NO_ADDRESS
    if card.method == "dhcp":
        yield "DHCP=yes\n"
        yield f"\n[DHCP]\nRouteMetric={1024 + 100 * card.number}\n" if card.number else ""
    yield from (f"Address={address}\n" for address in card.addresses)
    yield from (f"Gateway={gateway}\n" for gateway in card.gateways)
    if card.dns:
        yield f"DNS={' '.join(card.dns)}\n"


def _for_ifupdown(card: Card, name: str) -> Iterator[str]:
    yield _BY_US
    if card.mac:
        yield f"auto mac/{card.mac}/1={name}\n"
    else:
        yield from (f"auto /{pattern}={name}\n" for pattern in _PATTERNS)
    if card.vlan is None:
        yield from _interface(card, name)
        return
    tagged = card.tagged
    yield _without_address(name)
    yield f"    up [ -e /sys/class/net/{tagged} ] || ip link add link $IFACE name {tagged} type vlan"
    yield f" id {card.vlan}\n    up ifup {tagged}\n    down ifdown {tagged}; ip link delete {tagged}\n"
    yield from _interface(card, tagged)


def _for_alpine(cards: Iterable[Card]) -> Iterator[str]:
    yield f"{_BY_US}auto lo\niface lo inet loopback\n"
    for card in cards:
        name = f"eth{card.number}"
        yield f"\nauto {name}\n"
        if card.vlan is None:
            yield from _interface(card, name)
            continue
        yield _without_address(name)
        yield f"\nauto {card.tagged}\n"
        line = f"    pre-up ip link add link {name} name {card.tagged} type vlan id {card.vlan}\n"
        yield from _interface(card, card.tagged, line)


def _interface(card: Card, name: str, line: str = "") -> Iterator[str]:
    if card.method == "none":
        yield _without_address(name) + line
    elif card.method == "dhcp":
        yield f"iface {name} inet dhcp\n{line}"
        yield f"    metric {100 * card.number}\n" if card.number else ""
    else:
        first = _is_6(card.addresses[0])
        for six in (first, not first):
            if found := _of(card.addresses, six=six):
                yield f"iface {name} {'inet6' if six else 'inet'} static\n{line}    address {found[0]}\n"
                yield from (f"    gateway {gateway}\n" for gateway in _of(card.gateways, six=six))
                yield from (f"    up ip address add {address} dev $IFACE\n" for address in found[1:])
                line = ""


def _without_address(name: str) -> str:
    return f"iface {name} inet manual\n    up ip link set $IFACE up\n"


def _for_wicked(card: Card) -> Written:
    name = f"eth{card.number}"
    head = f"{_BY_US}STARTMODE='auto'\nBOOTPROTO="
    if card.vlan is not None:
        yield f"{_SUSE}/ifcfg-{name}", 0o644, f"{head}'none'\n"
        name = card.tagged
    yield f"{_SUSE}/ifcfg-{name}", 0o644, f"{head}'{card.method}'\n" + "".join(_wicked(card))
    if card.gateways:
        routes = "".join(f"default {gateway} - {name}\n" for gateway in card.gateways)
        yield f"{_SUSE}/ifroute-{name}", 0o644, _BY_US + routes


def _wicked(card: Card) -> Iterator[str]:
    if card.vlan is not None:
        yield f"ETHERDEVICE='eth{card.number}'\nVLAN_ID='{card.vlan}'\n"
    for number, address in enumerate(card.addresses):
        yield f"IPADDR{f'_{number}' if number else ''}='{address}'\n"


def _for_network_manager(card: Card, name: str) -> Written:
    if card.vlan is None:
        yield _keyfile(card, name, "".join(_ethernet(card, name)))
        return
    head = f"{_BY_US}[connection]\nid={name}-vlan\ntype=vlan\ninterface-name={card.tagged}\n"
    head += f"\n[vlan]\nid={card.vlan}\n\n[ethernet]\nmac-address={card.mac}"
    yield _keyfile(card, f"{name}-vlan", head)
    alone = replace(card, method="none")
    yield _keyfile(alone, name, "".join(_ethernet(alone, name)))


def _keyfile(card: Card, name: str, head: str) -> tuple[str, int, str]:
    both = "".join(f"\n\n[{family}]\n{''.join(_family(card, family))}" for family in ("ipv4", "ipv6"))
    return f"{_MANAGER}/{name}.nmconnection", 0o600, head + both


def _ethernet(card: Card, name: str) -> Iterator[str]:
    yield f"{_BY_US}[connection]\nid={name}\ntype=ethernet\nautoconnect-priority=100\n"
    if card.mac:
        yield f"\n[ethernet]\nmac-address={card.mac}"
    else:
        yield f"multi-connect=3\n\n[match]\ninterface-name={''.join(f'{each};' for each in _PATTERNS)}"


def _family(card: Card, family: str) -> Iterator[str]:
    six = family == "ipv6"
    own, gateways, servers = (_of(each, six=six) for each in (card.addresses, card.gateways, card.dns))
    if card.method == "none" or (card.method == "static" and not own and not six):
        yield "method=disabled\n"
        return
    yield "method=manual\n" if own else "method=auto\n"
    for number, address in enumerate(own, 1):
        gateway = f",{gateways[0]}" if gateways and number == 1 else ""
        yield f"address{number}={address}{gateway}\n"
    if servers:
        yield f"dns={''.join(f'{server};' for server in servers)}"


def _of(addresses: Sequence[str], *, six: bool) -> list[str]:
    """Those of one family."""
    return [address for address in addresses if _is_6(address) is six]


def _is_6(address: str) -> bool:
    return ":" in address
