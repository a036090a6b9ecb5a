"""A whole Debian with three cards: addresses of both families, a tagged VLAN, and one that is left alone."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from skinnybox.fleet.view import MachineView
from skinnybox.model import Network, Nic, StaticNetwork
from tests.boot.conftest import Create

pytestmark = pytest.mark.full

FIRST = StaticNetwork(
    address="10.0.2.15/24",
    gateway="10.0.2.2",
    also=("fd00:77::15/64", "10.0.2.16/24"),
    other_gateway="fe80::1",
)
TAGGED = StaticNetwork(address="198.18.177.9/24", also=("fd00:78::9/64",))


def test_cards_of_a_machine(
    create: Create, up: Callable[[str], MachineView], sh: Callable[[str, str], str], bridge_name: str
) -> None:
    made = create(
        "cards",
        network=Network.RESTRICTED,
        static_network=FIRST,
        nics=(Nic(bridge=bridge_name, network=TAGGED, vlan=100), Nic(manual=True)),
    ).instance
    up("cards")
    found = {link["ifname"]: link for link in json.loads(sh("cards", "ip -j -d addr"))}
    cards = {link["address"]: link for name, link in found.items() if name[0] == "e"}
    assert list(cards) == [made.mac, made.mac_of(1), made.mac_of(2)]
    first, second, third = cards.values()
    assert static_of(first) == {"10.0.2.15/24", "10.0.2.16/24", "fd00:77::15/64"}
    assert static_of(second) == static_of(third) == set()
    tagged = found["nic1v100"]
    assert (tagged["link"], tagged["linkinfo"]["info_data"]["id"]) == (second["ifname"], 100)
    assert static_of(tagged) == {"198.18.177.9/24", "fd00:78::9/64"}
    assert "default via 10.0.2.2" in sh("cards", "ip route")
    assert "default via fe80::1" in sh("cards", "ip -6 route")


def static_of(link: dict[str, Any]) -> set[str]:
    """Its addresses but for those that the link gives itself."""
    return {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] != "link"}
