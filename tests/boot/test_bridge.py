"""A whole Debian on a bridge of this host: reached by ssh at its own address, with its pinned keys."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Machine
from skinnybox.hosts.qemu import bridge
from skinnybox.model import Network, StaticNetwork
from tests.boot.conftest import Create

pytestmark = pytest.mark.full

HOST, GUEST = "198.18.78.1", "198.18.78.5"


@pytest.fixture
def bridge_name() -> Iterator[str]:
    if not bridge.may() or run.find("ip") is None:
        pytest.skip("no right to make a bridge here, or no `ip`")
    name = f"skb{os.getpid()}"
    try:
        run.run(["ip", "link", "add", name, "type", "bridge"])
    except CommandFailed as error:
        pytest.skip(f"no bridge can be made here: {error.message}")
    try:
        run.run(["ip", "address", "add", f"{HOST}/24", "dev", name])
        run.run(["ip", "link", "set", name, "up"])
        yield name
    finally:
        run.run(["ip", "link", "delete", name])


def test_ssh_over_a_bridge(
    fleet: Fleet,
    create: Create,
    up: Callable[[str], Machine],
    down: Callable[[str], None],
    sh: Callable[[str, str], str],
    bridge_name: str,
) -> None:
    made = create(
        "bridged",
        network=Network.BRIDGE,
        bridge=bridge_name,
        static_network=StaticNetwork(address=f"{GUEST}/24", gateway=HOST),
    )
    assert made.instance.ssh_port is None
    ready = up("bridged")
    assert ready.address == f"root@{GUEST}" and ready.host_keys
    assert any(GUEST in address for address in (ready.report.addresses if ready.report else ()))
    assert sh("bridged", "hostname; cat /sys/class/net/e*/address") == f"bridged\n{ready.instance.mac}\n"
    assert f"default via {HOST}" in sh("bridged", "ip route")

    down("bridged")
    assert list(Path(f"/sys/class/net/{bridge_name}/brif").iterdir()) == []
