"""A whole Debian on a bridge of this host: reached by ssh at its own address, with its pinned keys."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Network, StaticNetwork
from tests.boot.conftest import Create
from tests.conftest import BRIDGE_ADDRESS

pytestmark = pytest.mark.full

GUEST = "198.18.77.5"


def test_ssh_over_a_bridge(
    fleet: Fleet,
    create: Create,
    up: Callable[[str], MachineView],
    down: Callable[[str], None],
    sh: Callable[[str, str], str],
    bridge_name: str,
) -> None:
    made = create(
        "bridged",
        network=Network.BRIDGE,
        bridge=bridge_name,
        static_network=StaticNetwork(address=f"{GUEST}/24", gateway=BRIDGE_ADDRESS),
    )
    assert made.instance.ssh_port is None
    ready = up("bridged")
    assert ready.address == f"root@{GUEST}" and ready.host_keys
    assert any(GUEST in address for address in (ready.report.addresses if ready.report else ()))
    assert sh("bridged", "hostname; cat /sys/class/net/e*/address") == f"bridged\n{ready.instance.mac}\n"
    assert f"default via {BRIDGE_ADDRESS}" in sh("bridged", "ip route")

    down("bridged")
    assert list(Path(f"/sys/class/net/{bridge_name}/brif").iterdir()) == []
