"""A tap on a bridge of this host, really made and used: by the tiny guest, with a static address."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Conflict, NotFound, Unsupported
from skinnybox.hosts.base import Contents
from skinnybox.hosts.qemu import bridge
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Instance, Master, Network, Seed, StaticNetwork
from skinnybox.operation import Operation
from tests.conftest import BRIDGE_ADDRESS
from tests.contract.test_qemu import Guest

pytestmark = pytest.mark.boot

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
GUEST = "198.18.77.5"


@pytest.fixture
def bridged(
    qemu: QemuHost,
    new: New,
    contents_of: ContentsOf,
    master: Master,
    tiny_guest: Path,
    state: Path,
    bridge_name: str,
) -> Guest:
    seed = Seed(hostname="web-01", machine_id="0" * 32, network=StaticNetwork(address=f"{GUEST}/24"))
    instance = new(network=Network.BRIDGE, bridge=bridge_name, seed=seed)
    qemu.create_overlay(instance, contents_of(instance), Operation())
    qemu.define(instance)
    return Guest(qemu, instance, lambda: qemu.start(instance, master, tiny_guest, Operation()), state)


def members(name: str) -> list[str]:
    return sorted(path.name for path in Path(f"/sys/class/net/{name}/brif").iterdir())


def greeting() -> bytes:
    with contextlib.suppress(OSError), socket.create_connection((GUEST, 22), 5) as client:
        client.settimeout(5)
        return client.recv(100)
    return b""


def test_a_life_on_a_bridge(bridged: Guest, bridge_name: str) -> None:
    tap = bridge.tap_name(bridged.instance)
    assert len(tap) <= 15 and members(bridge_name) == []
    assert bridge_name in bridged.host.features.bridges
    assert Network.BRIDGE in bridged.host.features.networks
    bridged.start()
    assert members(bridge_name) == [tap]
    assert Path(f"/proc/sys/net/ipv6/conf/{tap}/disable_ipv6").read_text().strip() == "1"
    assert Path(f"/sys/class/net/{tap}/address").read_text().strip() == "fe" + bridged.instance.mac[2:]
    bridged.says(f"online {GUEST}/24 {BRIDGE_ADDRESS}; echo online=$?; (echo SSH-2.0-tiny | nc -l -p 22) &")
    bridged.prints(b"online=0")
    bridged.until(lambda: greeting() == b"SSH-2.0-tiny\n")
    bridged.says(f"ping -c 1 -W 5 {BRIDGE_ADDRESS} >/dev/null; echo pinged=$?")
    bridged.prints(b"pinged=0")
    neighbour = run.run(["ip", "neighbour", "show", GUEST]).stdout.decode()
    assert bridged.instance.mac in neighbour

    with pytest.raises(Conflict, match=tap), bridge.tap(bridged.instance, bridge_name):
        pass
    bridged.host.power_off(bridged.instance)
    assert members(bridge_name) == []
    assert not Path(f"/sys/class/net/{tap}").exists()


def test_a_bridge_that_is_gone_is_named_before_anything_starts(
    qemu: QemuHost, new: New, contents_of: ContentsOf, master: Master, tiny_guest: Path, state: Path
) -> None:
    gone = new(network=Network.BRIDGE, bridge="skt-none")
    qemu.create_overlay(gone, contents_of(gone), Operation())
    qemu.define(gone)
    with pytest.raises((NotFound, Unsupported), match="skt-none"):
        qemu.start(gone, master, tiny_guest, Operation())
    assert not (state / "run" / str(gone.uuid)).exists()
    with qemu.open_overlay(gone, Operation()):
        pass


def test_without_the_right_it_is_refused_and_said_so(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.setattr(bridge, "_TUN", Path("/nonexistent/tun"))
    host = QemuHost(state)
    assert Network.BRIDGE not in host.features.networks
    assert host.features.bridges == frozenset()
    with pytest.raises(Unsupported, match="the right to change"):
        bridge.check("br0")


def test_a_failing_start_leaves_no_tap(bridged: Guest, bridge_name: str) -> None:
    with pytest.raises(RuntimeError), bridge.tap(bridged.instance, bridge_name):
        assert members(bridge_name) == [bridge.tap_name(bridged.instance)]
        raise RuntimeError
    assert members(bridge_name) == []
