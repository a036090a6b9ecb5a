"""What passt is told of a guest before that has said anything; with the real passt, and no guest."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import process, run
from skinnybox.hosts.qemu import network
from skinnybox.hosts.qemu.passt_probe import _frames, _is_syn
from skinnybox.model import Instance, Network, Seed, StaticNetwork
from tests.samples import an_instance

SECONDS = 10.0
DHCP = Seed(hostname="web-01", machine_id="0" * 32)
STATIC = Seed(
    hostname="web-01",
    machine_id="0" * 32,
    network=StaticNetwork(address="10.7.0.5/24", gateway="10.7.0.1"),
)
NEIGHBOUR = Seed(hostname="web-01", machine_id="0" * 32, network=StaticNetwork(address="10.7.0.5/24"))


@pytest.fixture
def call(tmp_path: Path) -> Callable[[Seed], tuple[Instance, bytes]]:
    """The first SYN a machine's card gets when somebody connects to its ssh port."""
    if run.find("passt") is None:
        pytest.skip("no passt")

    def one(seed: Seed) -> tuple[Instance, bytes]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        instance = an_instance(seed=seed, ssh_port=port, network=Network.PASST)
        output = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
        try:
            with network.stream(instance, network._user_of_probe(), output) as guest, _connected(port):
                found = next((each for each in _frames(guest, SECONDS) if _is_syn(each)), None)
        finally:
            os.close(output)
            process.reap_remembered()
        assert found is not None, (tmp_path / "log").read_text()
        return instance, found

    return one


def _connected(port: int) -> socket.socket:
    for _ in range(int(SECONDS * 100)):
        try:
            return socket.create_connection(("127.0.0.1", port), SECONDS)
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError("passt does not listen")


@pytest.mark.parametrize("seed", [DHCP, STATIC, NEIGHBOUR])
def test_who_comes_before_the_guest_has_spoken_is_sent_to_its_card(
    call: Callable[[Seed], tuple[Instance, bytes]], seed: Seed
) -> None:
    instance, frame = call(seed)
    assert frame[:6].hex(":") == instance.mac
    source, target = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
    if seed.network:
        assert target == "10.7.0.5" and source.startswith("10.7.0.") and source != target
