"""What an earlier seed wrote for the network and the new one does not name goes; what others wrote stays."""

from pathlib import Path

import pytest

from skinnybox.wire import Line
from tests.guest.conftest import Shell
from tests.guest.test_network import BOTH, BY_US, MAC, NETWORKD, TAGGED, enable, every_file, root, touch
from tests.guest.test_seed import apply

__all__ = ["root"]


@pytest.mark.parametrize("manager", ["networkd", "ifupdown", "NetworkManager", "wicked"])
def test_cards_that_are_gone_are_forgotten(shell: Shell, root: Path, manager: str) -> None:
    """And nothing that somebody else wrote under such a name."""
    signs = {
        "networkd": "usr/lib/systemd/systemd-networkd",
        "ifupdown": "sbin/ifup",
        "wicked": "usr/sbin/wicked",
    }
    if manager == "NetworkManager":
        enable(root, "NetworkManager.service")
    else:
        touch(root, signs[manager])
    others = [f"{NETWORKD}/10-skinnybox-mine.network", "etc/network/interfaces.d/skinnybox-9"]
    others += [
        "etc/NetworkManager/system-connections/skinnybox-9.nmconnection",
        "etc/sysconfig/network/ifcfg-eth9",
        "etc/sysconfig/network/ifroute-eth9",
    ]
    touch(root, *others)
    assert apply(shell, Line("network", "dhcp")).code == 0
    alone = every_file(root)
    gateways = Line("nic", f"{TAGGED} gateway 10.1.0.1")
    assert apply(shell, Line("network", BOTH), gateways, Line("nic", f"2 {MAC} none")).code == 0
    assert len(every_file(root)) > len(alone)
    assert apply(shell, Line("network", "dhcp")).code == 0
    assert every_file(root) == alone


RESOLVERS = "etc/resolv.conf"


@pytest.mark.parametrize("masters", ["file", "link", "a seed's", None])
def test_resolvers_that_are_gone_are_the_masters_again(shell: Shell, root: Path, masters: str | None) -> None:
    touch(root, "sbin/ifup")
    (root / "media/root-ro/etc").mkdir(parents=True)
    if masters == "file":
        (root / "media/root-ro" / RESOLVERS).write_text("nameserver 1.2.3.4\n")
    elif masters == "a seed's":
        (root / "media/root-ro" / RESOLVERS).write_text(f"{BY_US}nameserver 1.2.3.4\n")
    elif masters == "link":
        (root / "media/root-ro" / RESOLVERS).symlink_to("../run/netconfig/resolv.conf")
    assert apply(shell, Line("network", BOTH)).code == 0
    assert (root / RESOLVERS).read_text() == f"{BY_US}nameserver 9.9.9.9\n"
    assert apply(shell, Line("network", "dhcp")).code == 0
    if masters == "file":
        assert (root / RESOLVERS).read_text() == "nameserver 1.2.3.4\n"
    elif masters == "link":
        assert str((root / RESOLVERS).readlink()) == "../run/netconfig/resolv.conf"
    else:
        assert not (root / RESOLVERS).exists()


def test_resolvers_of_somebody_else_stay(shell: Shell, root: Path) -> None:
    touch(root, "sbin/ifup")
    (root / RESOLVERS).write_text("# mine\nnameserver 1.2.3.4\n")
    assert apply(shell, Line("network", "dhcp")).code == 0
    assert (root / RESOLVERS).read_text() == "# mine\nnameserver 1.2.3.4\n"


def test_resolvers_of_an_earlier_seed_go_where_resolved_does_it_now(shell: Shell, root: Path) -> None:
    touch(root, "usr/lib/systemd/systemd-networkd")
    assert apply(shell, Line("network", BOTH)).code == 0
    touch(root, "usr/lib/systemd/systemd-resolved")
    assert apply(shell, Line("network", BOTH)).code == 0
    assert not (root / RESOLVERS).exists()
