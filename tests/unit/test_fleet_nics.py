"""Several addresses of a card, and several cards of a machine: what may be said, and what comes of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet.counting import numbered
from skinnybox.fleet.plan.compare import seed_changes
from skinnybox.fleet.spec import networks
from skinnybox.fleet.spec.nics import parse_nic
from skinnybox.fleet.spec.reading import parse
from skinnybox.fleet.specification import MOST_NICS, Specification, check, places
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Nic, Overlay, StaticNetwork
from skinnybox.overlays.seed import seed_message
from skinnybox.sizes import GIB
from tests.samples import an_instance
from tests.unit.test_fleet_spec_mistakes import HEAD, mistakes

SPEC = Specification(overlay=Overlay(size=GIB))


def machines(text: str) -> dict[str, Specification]:
    return {m.name: m.specification for m in parse((HEAD + text).encode(), Path("/nowhere/f")).machines}


def test_both_families_on_one_card() -> None:
    said = networks.static(
        ["10.0.0.{11..12}/24", "fd00::a/64"], ["fe80::1", "10.0.0.1"], ["9.9.9.9", "fd00::3"]
    )
    assert networks.of_each(said, 2) == [
        StaticNetwork(
            address=f"10.0.0.{11 + number}/24", also=(f"fd00::{'ab'[number]}/64",),
            gateway="10.0.0.1", other_gateway="fe80::1", dns=("9.9.9.9", "fd00::3"),
        )
        for number in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("own", "gateways", "why"),
    [
        (["10.0.0.5/24", "fd00::5/64"], ["10.0.0.1", "10.0.0.2"], "are of the same family"),
        (["10.0.0.5/24"], ["fd00::1"], "gateway fd00::1 is of another family"),
        (["10.0.0.5/24", "10.0.0.6/24"], [], "10.0.0.6 is given twice"),
        (["10.0.0.5/24", "fd00::5/64"], ["fd01::1"], "fd01::1 is not in fd00::/64"),
        (["10.0.0.5/24", "10.0.1.5/24"], ["10.0.2.1"], "10.0.2.1 is not in 10.0.0.0/24 or 10.0.1.0/24"),
        (["10.0.0.5/24", "10.0.1.1/24"], ["10.0.1.1"], "machine 1 of 2 would get the gateway's"),
    ],
)
def test_addresses_that_do_not_go_together(own: list[str], gateways: list[str], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        networks.of_each(networks.static(own, gateways), 2)
    assert why in refused.value.message


@pytest.mark.parametrize(
    ("text", "nic"),
    [
        ("bridge=br1", Nic(bridge="br1")),
        ("restricted,dhcp", Nic()),
        ("bridge=br1,manual,vlan=7", Nic(bridge="br1", manual=True, vlan=7)),
        (
            "bridge=lan of eth0,address=10.0.{1,2}.5/24,address=fd00::5/64,gateway=fe80::1",
            Nic(
                bridge="lan of eth0",
                network=StaticNetwork(
                    address="10.0.{1,2}.5/24", also=("fd00::5/64",), other_gateway="fe80::1"
                ),
            ),
        ),
    ],
)
def test_a_card_of_the_command_line(text: str, nic: Nic) -> None:
    assert parse_nic(text) == nic


@pytest.mark.parametrize(
    "text",
    [
        "", "dhcp", "bridge=", "bridge", "restricted=yes", "bridge=a,restricted", "bridge=a,bridge=b",
        "bridge=a,dhcp,manual", "bridge=a,manual,address=10.0.0.5/24", "bridge=a,gateway=10.0.0.1",
        "bridge=a,vlan=x", "bridge=a,vlan=-1", "bridge=a,mtu=9000", "bridge=a,,dhcp", "bridge=" + "x" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_card(text: str) -> None:
    with pytest.raises(UsageError):
        parse_nic(text)


def test_each_machine_gets_addresses_on_each_card() -> None:
    nic = parse_nic("bridge=br0,address=10.1.0.{5..6}/24,vlan=9")
    first, second = numbered(Specification(overlay=Overlay(size=GIB), nics=(nic, Nic())), 2)
    assert [own.nics[0].network for own in (first, second)] == [
        StaticNetwork(address="10.1.0.5/24"), StaticNetwork(address="10.1.0.6/24")
    ]  # fmt: skip
    assert first.nics[1] == second.nics[1] == Nic()
    assert places(second) == [("br0", "10.1.0.6")]
    told = {change.what: change.after for change in seed_changes(an_instance(), second)}
    assert told["nic 1"] == "br0 vlan 9 10.1.0.6/24" and told["nic 2"] == "restricted dhcp"
    with pytest.raises(UsageError, match="2 addresses for 3 machines"):
        numbered(Specification(overlay=Overlay(size=GIB), nics=(nic,)), 3)


STATIC = StaticNetwork(address="10.0.0.5/24", gateway="10.0.0.1")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"nics": (Nic(bridge="br7"),)}, "no bridge 'br7'"),
        ({"nics": (Nic(),) * (MOST_NICS + 1)}, "at most 6"),
        ({"nics": (Nic(vlan=4095),)}, "4095 is no VLAN"),
        ({"nics": (Nic(vlan=0),)}, "0 is no VLAN"),
        ({"nics": (Nic(manual=True, network=STATIC),)}, "is to have none"),
        ({"nics": (Nic(network=STATIC),), "static_network": STATIC}, "one way out for each family"),
    ],
)
def test_cards_that_cannot_be(said: dict[str, Any], why: str) -> None:
    with pytest.raises(SkinnyboxError) as refused:
        check(Specification(overlay=Overlay(size=GIB), **said), FakeHost.features)
    assert why in refused.value.message


def test_what_a_guest_is_told_of_several_cards() -> None:
    """With one card and one address not a byte more than ever: old guest parts read that."""
    nics = (
        Nic(bridge="br1", network=StaticNetwork(address="10.1.0.5/24"), vlan=100),
        Nic(manual=True),
        Nic(),
    )
    static = StaticNetwork(
        address="10.0.0.5/24", also=("fd00::5/64",), other_gateway="fe80::1", dns=("9.9.9.9",)
    )
    plain = an_instance()
    made = an_instance(seed=replace(plain.seed, network=static, nics=nics))
    lines = [line for line in seed_message(made).decode().splitlines() if line.startswith(("network", "nic"))]
    assert lines == [
        f"network static 10.0.0.5/24 also fd00::5/64 other-gateway fe80::1 dns 9.9.9.9 mac {made.mac}",
        f"nic 1 {made.mac_of(1)} static 10.1.0.5/24 vlan 100",
        f"nic 2 {made.mac_of(2)} none",
        f"nic 3 {made.mac_of(3)} dhcp",
    ]
    assert b"\nnetwork dhcp\n" in seed_message(plain) and b"nic" not in seed_message(plain)


def test_cards_and_addresses_of_a_fleet_file() -> None:
    found = machines(
        "  web-{1..2}:\n    master: m\n    bridge: br0\n    address: [10.0.0.11/24, 'fd00::{11,15}/64']\n"
        "    gateway: [10.0.0.1, 'fe80::1']\n"
        "    nics:\n      - {bridge: br1, address: '10.1.{number}.5/24', vlan: 100}\n      - {manual: true}\n"
        "  db: {master: m, addresses: [[10.0.0.5/24, 'fd00::5/64']], nics: [{addresses: [10.9.0.1/24]}]}\n"
    )
    assert found["web-2"].static_network == StaticNetwork(
        address="10.0.0.12/24", also=("fd00::15/64",), gateway="10.0.0.1", other_gateway="fe80::1"
    )
    assert found["web-2"].nics == (
        Nic(bridge="br1", network=StaticNetwork(address="10.1.2.5/24"), vlan=100), Nic(manual=True),
    )  # fmt: skip
    assert found["db"].static_network == StaticNetwork(address="10.0.0.5/24", also=("fd00::5/64",))
    assert found["db"].nics == (Nic(network=StaticNetwork(address="10.9.0.1/24")),)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("  a: {master: m, nics: [{bridge: b, adress: 10.0.0.5/24}]}\n", "4:37: 'adress' is not known here"),
        ("  a: {master: m, nics: [{bridge: b, vlan: 4095}]}\n", "4:43: vlan: 4095 is too large"),
        ("  a: {master: m, nics: [{address: 10.0.0.5}]}\n", "4:35: address: '10.0.0.5' is not ADDR"),
        ("  a: {master: m, nics: [{address: 10.0.0.255/24}]}\n", "4:35: 10.0.0.255 is the broadcast"),
        ("  a: {master: m, nics: [{gateway: 10.0.0.1}]}\n", "4:25: gateway goes with an address"),
        ("  a: {master: m, nics: [{address: 10.0.0.5/24, manual: true}]}\n", "4:25: `manual` goes without"),
        ("  a: {master: m, nics: {bridge: b}}\n", "4:24: nics: expected a list"),
        ("  a: {master: m, address: []}\n", "4:27: address: an empty list"),
        ("  a: {master: m, address: [10.0.0.5/24, 10.0.0.5/24]}\n", "4:27: 10.0.0.5 is given twice"),
        ("  a-{1..2}: {master: m, address: [10.0.0.5/24], gateway: [10.0.0.1, 10.0.0.2]}\n", "4:34: 10"),
        ("  a: {master: m, vlan: 7}\n", "4:18: 'vlan' does not belong here, but into an item of `nics`"),
        ("  a: {master: m, bridge: b, address: 10.0.0.5/24}\n  c: {master: m, nics: [{bridge: b, address: "
         "10.0.0.5/8}]}\n", "5:24: 10.0.0.5 on b is given twice"),
        ("  a: {master: m, bridge: b, address: 10.0.0.5/24, nics: [{bridge: b, address: 10.0.0.5/24}]}\n",
         "4:57: 10.0.0.5 on b is given twice"),
    ],
)  # fmt: skip
def test_mistakes_in_cards(lines: str, told: str) -> None:
    found = mistakes(HEAD + lines)
    assert found[0].startswith(told), found


def test_on_other_bridges_cards_may_have_the_same_address() -> None:
    text = "  a: {master: m, bridge: b, address: 10.0.0.5/24, nics: [{bridge: c, address: 10.0.0.5/24}]}\n"
    assert machines(text + "  d: {master: m, nics: [{address: 10.0.0.5/24}, {address: 10.0.0.5/24}]}\n")
