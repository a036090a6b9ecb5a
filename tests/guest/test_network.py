"""The seed's network, where neither networkd nor Debian's ifupdown brings it up."""

import configparser
from pathlib import Path

import pytest

from skinnybox.masters.fitting import systemd
from skinnybox.wire import Line
from tests.guest.conftest import Shell
from tests.guest.test_seed import apply

STATIC = "static 10.0.0.2/24 gateway 10.0.0.1 dns 9.9.9.9,fd00::3,1.1.1.1"
BY_US = "# Written from the seed by skinnybox.\n"
WANTS = "etc/systemd/system/multi-user.target.wants"
MANAGED = "etc/NetworkManager/system-connections/skinnybox.nmconnection"


@pytest.fixture
def root(shell: Shell) -> Path:
    root = shell.tmp / "root"
    (root / "etc").mkdir(exist_ok=True)
    return root


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def enable(root: Path, unit: str) -> None:
    (root / WANTS).mkdir(parents=True, exist_ok=True)
    (root / WANTS / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("dhcp", {"ipv4": {"method": "auto"}, "ipv6": {"method": "auto"}}),
        (
            STATIC,
            {
                "ipv4": {"method": "manual", "address1": "10.0.0.2/24,10.0.0.1", "dns": "9.9.9.9;1.1.1.1;"},
                "ipv6": {"method": "auto", "dns": "fd00::3;"},
            },
        ),
        (
            "static 10.0.0.2/24",
            {"ipv4": {"method": "manual", "address1": "10.0.0.2/24"}, "ipv6": {"method": "auto"}},
        ),
        (
            "static fd00::2/64 gateway fd00::1 dns fd00::3,9.9.9.9",
            {
                "ipv4": {"method": "disabled"},
                "ipv6": {"method": "manual", "address1": "fd00::2/64,fd00::1", "dns": "fd00::3;"},
            },
        ),
    ],
)
def test_the_network_for_network_manager(
    shell: Shell, root: Path, network: str, expected: dict[str, dict[str, str]]
) -> None:
    enable(root, "NetworkManager.service")
    touch(root, "usr/lib/systemd/systemd-networkd", "usr/sbin/ifup")
    assert apply(shell, Line("network", network)).code == 0
    file = root / MANAGED
    assert file.stat().st_mode & 0o777 == 0o600, "NetworkManager takes no other for its own"
    found = configparser.ConfigParser()
    found.read_string(file.read_text())
    assert {name: dict(found[name]) for name in ("ipv4", "ipv6")} == expected
    assert dict(found["match"]) == {"interface-name": "en*;eth*;"}
    assert dict(found["connection"])["type"] == "ethernet"
    assert not (root / "etc/systemd/network").exists()


@pytest.mark.parametrize(
    "sign", ["etc/network/interfaces", "etc/netplan", f"{WANTS}/systemd-networkd.service"]
)
def test_networkd_is_what_both_choose_where_others_have_a_say(shell: Shell, root: Path, sign: str) -> None:
    """The fitting, which enables it, and the seed, which writes its file."""
    enable(root, "NetworkManager.service")
    touch(root, "usr/lib/systemd/systemd-networkd", "usr/lib/systemd/systemd")
    (root / "usr/lib/systemd/system").mkdir()
    (root / "usr/lib/systemd/system/systemd-networkd.service").write_text(
        "[Install]\nWantedBy=multi-user.target\n"
    )
    if sign.startswith(WANTS):
        enable(root, "systemd-networkd.service")
    else:
        touch(root, sign)
    first = "05" if sign == "etc/netplan" else "10"  # or netplan's own, which are 10-netplan-*, would count
    systemd.fit(root)
    assert (root / WANTS / "systemd-networkd.service").is_symlink()
    apply(shell, Line("network", "dhcp"))
    written = root / f"etc/systemd/network/{first}-skinnybox.network"
    assert written.exists() and not (root / MANAGED).exists()


def test_networkd_is_not_enabled_beside_network_manager(shell: Shell, root: Path) -> None:
    enable(root, "NetworkManager.service")
    touch(root, "usr/lib/systemd/systemd-networkd")
    (root / "usr/lib/systemd/system").mkdir()
    (root / "usr/lib/systemd/system/systemd-networkd.service").write_text(
        "[Install]\nWantedBy=multi-user.target\n"
    )
    systemd.fit(root)
    assert not (root / WANTS / "systemd-networkd.service").is_symlink()
    apply(shell, Line("network", "dhcp"))
    assert (root / MANAGED).exists()


def test_the_network_for_wicked(shell: Shell, root: Path) -> None:
    touch(root, "usr/sbin/wicked", "sbin/ifup")
    apply(shell, Line("network", STATIC))
    folder = root / "etc/sysconfig/network"
    assert (folder / "ifcfg-eth0").read_text().splitlines()[1:] == [
        "STARTMODE='auto'", "BOOTPROTO='static'", "IPADDR='10.0.0.2/24'",
    ]  # fmt: skip
    assert (folder / "ifroute-eth0").read_text() == f"{BY_US}default 10.0.0.1 - eth0\n"
    assert "nameserver 9.9.9.9\n" in (root / "etc/resolv.conf").read_text()


def test_the_network_for_alpine(shell: Shell, root: Path) -> None:
    touch(root, "etc/alpine-release", "sbin/ifup")
    apply(shell, Line("network", "dhcp"))
    assert (root / "etc/network/interfaces").read_text().splitlines()[1:] == [
        "auto lo", "iface lo inet loopback", "", "auto eth0", "iface eth0 inet dhcp",
    ]  # fmt: skip


MAC, OTHER_MAC = "52:54:00:12:34:56", "52:54:00:65:43:21"
BOTH = (
    "static 10.0.0.2/24 gateway 10.0.0.1 also fd00::2/64,10.0.0.9/24 other-gateway fe80::1 dns 9.9.9.9"
    f" mac {MAC}"
)
TAGGED = f"1 {OTHER_MAC} static 10.1.0.2/24 vlan 100"
NETWORKD = "etc/systemd/network"


def test_cards_for_networkd(shell: Shell, root: Path) -> None:
    """Of all files the first by name that fits counts: a VLAN has its card's MAC, so it comes before."""
    touch(root, "usr/lib/systemd/systemd-networkd")
    lines = (
        Line("network", BOTH),
        Line("nic", TAGGED),
        Line("nic", f"2 {MAC[:-1]}7 dhcp"),
        Line("nic", f"3 {MAC} none"),
    )
    assert apply(shell, *lines).code == 0
    text = {file.name: file.read_text().split("\n", 1)[1] for file in (root / NETWORKD).iterdir()}
    assert sorted(text) == [
        "10-skinnybox-1-vlan.network", "10-skinnybox-1.netdev", "10-skinnybox-1.network",
        "10-skinnybox-2.network", "10-skinnybox-3.network", "10-skinnybox.network",
    ]  # fmt: skip
    assert text["10-skinnybox.network"] == (
        f"[Match]\nMACAddress={MAC}\n\n[Network]\nAddress=10.0.0.2/24\nAddress=fd00::2/64\nAddress=10.0.0.9/24\n"
        "Gateway=10.0.0.1\nGateway=fe80::1\nDNS=9.9.9.9\n"
    )
    assert text["10-skinnybox-1.netdev"] == "[NetDev]\nName=nic1v100\nKind=vlan\n\n[VLAN]\nId=100\n"
    assert text["10-skinnybox-1-vlan.network"] == "[Match]\nName=nic1v100\n\n[Network]\nAddress=10.1.0.2/24\n"
    assert f"MACAddress={OTHER_MAC}\n\n[Network]\nVLAN=nic1v100\n" in text["10-skinnybox-1.network"]
    assert text["10-skinnybox-2.network"].endswith("DHCP=yes\n\n[DHCP]\nRouteMetric=1224\n")
    assert "LinkLocalAddressing=no" in text["10-skinnybox-3.network"]


def test_cards_for_ifupdown(shell: Shell, root: Path) -> None:
    touch(root, "sbin/ifup")
    assert apply(shell, Line("network", BOTH), Line("nic", TAGGED), Line("nic", f"2 {MAC} dhcp")).code == 0
    folder = root / "etc/network/interfaces.d"
    assert (folder / "skinnybox").read_text().splitlines()[1:] == [
        f"auto mac/{MAC}/1=skinnybox",
        "iface skinnybox inet static",
        "    address 10.0.0.2/24",
        "    gateway 10.0.0.1",
        "    up ip address add 10.0.0.9/24 dev $IFACE",
        "iface skinnybox inet6 static",
        "    address fd00::2/64",
        "    gateway fe80::1",
    ]
    assert (folder / "skinnybox-1").read_text().splitlines()[1:] == [
        f"auto mac/{OTHER_MAC}/1=skinnybox-1",
        "iface skinnybox-1 inet manual",
        "    up ip link set $IFACE up",
        "    up [ -e /sys/class/net/nic1v100 ] || ip link add link $IFACE name nic1v100 type vlan id 100",
        "    up ifup nic1v100",
        "    down ifdown nic1v100; ip link delete nic1v100",
        "iface nic1v100 inet static",
        "    address 10.1.0.2/24",
    ]
    assert (folder / "skinnybox-2").read_text().splitlines()[2:] == [
        "iface skinnybox-2 inet dhcp", "    metric 200",
    ]  # fmt: skip
    assert (root / "etc/resolv.conf").read_text() == f"{BY_US}nameserver 9.9.9.9\n"


def test_cards_for_network_manager(shell: Shell, root: Path) -> None:
    enable(root, "NetworkManager.service")
    assert apply(shell, Line("network", BOTH), Line("nic", TAGGED), Line("nic", f"2 {MAC} none")).code == 0
    read = {}
    for file in (root / MANAGED).parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        parser = configparser.ConfigParser()
        parser.read_string(file.read_text())
        read[file.name] = {name: dict(parser[name]) for name in parser.sections()}
    assert sorted(read) == [
        "skinnybox-1-vlan.nmconnection", "skinnybox-1.nmconnection", "skinnybox-2.nmconnection",
        "skinnybox.nmconnection",
    ]  # fmt: skip
    below = read["skinnybox-1.nmconnection"]
    assert (below["ethernet"], below["ipv4"]) == ({"mac-address": OTHER_MAC}, {"method": "disabled"})
    first, tagged = read["skinnybox.nmconnection"], read["skinnybox-1-vlan.nmconnection"]
    assert first["ethernet"] == {"mac-address": MAC} and "match" not in first
    assert first["ipv4"] == {
        "method": "manual", "address1": "10.0.0.2/24,10.0.0.1", "address2": "10.0.0.9/24", "dns": "9.9.9.9;",
    }  # fmt: skip
    assert first["ipv6"] == {"method": "manual", "address1": "fd00::2/64,fe80::1"}
    assert tagged["connection"] == {"id": "skinnybox-1-vlan", "type": "vlan", "interface-name": "nic1v100"}
    assert (tagged["vlan"], tagged["ethernet"]) == ({"id": "100"}, {"mac-address": OTHER_MAC})
    assert tagged["ipv4"] == {"method": "manual", "address1": "10.1.0.2/24"}
    assert {read["skinnybox-2.nmconnection"][each]["method"] for each in ("ipv4", "ipv6")} == {"disabled"}


def test_cards_where_they_are_known_by_their_names(shell: Shell, root: Path) -> None:
    touch(root, "etc/alpine-release")
    assert apply(shell, Line("network", "dhcp mac 52:54:00:00:00:00"), Line("nic", TAGGED)).code == 0
    assert (root / "etc/network/interfaces").read_text().splitlines()[4:] == [
        "auto eth0", "iface eth0 inet dhcp", "",
        "auto eth1", "iface eth1 inet manual", "    up ip link set $IFACE up", "",
        "auto nic1v100", "iface nic1v100 inet static",
        "    pre-up ip link add link eth1 name nic1v100 type vlan id 100", "    address 10.1.0.2/24",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "static",
        "1 52:54:00:00:00:00",
        "dhcp mtu 9000",
        "dhcp mac",
        "static 10.0.0.2/24 gateway 10.0.0.1 dns",
        "1 52:54:00:00:00:00 dhcp vlan",
        "1x 52:54:00:00:00:00 dhcp",
    ],
)
def test_a_card_that_makes_no_sense(shell: Shell, root: Path, text: str) -> None:
    touch(root, "usr/lib/systemd/systemd-networkd")
    assert apply(shell, Line("nic" if text[0] == "1" else "network", text)).code == 1
    assert every_file(root) == {"usr/lib/systemd/systemd-networkd"}


def every_file(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
