"""The seed's network, where neither networkd nor Debian's ifupdown brings it up."""

import configparser
from pathlib import Path

import pytest

from skinnybox.masters.fitting import systemd
from skinnybox.wire import Line
from tests.guest.conftest import Shell
from tests.guest.test_seed import apply

STATIC = "static 10.0.0.2/24 gateway 10.0.0.1 dns 9.9.9.9,fd00::3,1.1.1.1"
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
    systemd.fit(root)
    assert (root / WANTS / "systemd-networkd.service").is_symlink()
    apply(shell, Line("network", "dhcp"))
    assert (root / "etc/systemd/network/10-skinnybox.network").exists() and not (root / MANAGED).exists()


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
    assert (folder / "ifroute-eth0").read_text() == "default 10.0.0.1 - eth0\n"
    assert "nameserver 9.9.9.9\n" in (root / "etc/resolv.conf").read_text()


def test_the_network_for_alpine(shell: Shell, root: Path) -> None:
    touch(root, "etc/alpine-release", "sbin/ifup")
    apply(shell, Line("network", "dhcp"))
    assert (root / "etc/network/interfaces").read_text().splitlines()[1:] == [
        "auto lo", "iface lo inet loopback", "", "auto eth0", "iface eth0 inet dhcp",
    ]  # fmt: skip
