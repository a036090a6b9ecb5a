"""A real QEMU that is told by its monitor to open what it should not, as one that a guest took over would.

The files here are open to everybody who can name them."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.emulation.board import Accelerator
from skinnybox.errors import CommandFailed
from skinnybox.hosts.base import Contents
from skinnybox.hosts.guest_io.qmp import Monitor
from skinnybox.hosts.qemu import launch, network
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Forward, Instance, Master, Network
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.contract.test_qemu import free_port

pytestmark = pytest.mark.boot

New = Callable[..., Instance]
ContentsOf = Callable[[Instance], Contents]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """On the way to it nothing is closed to another user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture(params=list(Network), ids=str)
def monitor(
    qemu: QemuHost,
    new: New,
    contents_of: ContentsOf,
    master: Master,
    tiny_guest: Path,
    state: Path,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Monitor, Network]]:
    """Of a machine with that network, which waits for its guest to be let go."""
    if request.param is Network.PASST and not network.verdict().works:
        pytest.skip("passt does not serve here")
    led = tuple(Forward(port=free_port(), to=port) for port in (80, 443))
    wanted: dict[str, object] = {"ssh_port": free_port(), "forwards": led}
    if request.param is Network.BRIDGE:
        wanted = {"bridge": request.getfixturevalue("bridge_name")}
    instance = new(network=request.param, memory=128 * MIB, **wanted)
    qemu.create_overlay(instance, contents_of(instance), Operation())
    qemu.define(instance)
    folder = state / "run" / str(instance.uuid)
    overlay = state / "instances" / str(instance.uuid) / "overlay.img"
    launch.launch(instance, master, tiny_guest, overlay, folder, Accelerator.TCG)
    with Monitor(folder) as opened:
        yield opened, request.param


def test_it_reaches_nothing_but_its_own(monitor: tuple[Monitor, Network], open_folder: Path) -> None:
    told, kind = monitor
    (open_folder / "other.img").write_bytes(bytes(MIB))
    (open_folder / "other.img").chmod(0o666)
    assert refused(lambda: opened(told, str(firmware()))) is None, "the try itself"
    assert refused(lambda: opened(told, f"{open_folder}/other.img"))
    assert refused(lambda: opened(told, "/etc/shadow"))
    assert (refused(lambda: opened(told, "/etc/passwd")) is None) == (kind is Network.OPEN)
    assert refused(lambda: written(told, "/tmp/skinnybox-taken"))
    assert refused(lambda: written(told, f"{open_folder}/taken")) and not (open_folder / "taken").exists()
    with socket.create_server(("127.0.0.1", 0)) as loopback, socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(open_folder / "agent"))
        agent.listen()
        (open_folder / "agent").chmod(0o777)
        port = str(loopback.getsockname()[1])
        reached = refused(lambda: connected(told, {"type": "inet", "host": "127.0.0.1", "port": port}))
        assert (reached is None) == (kind is Network.OPEN)
        assert refused(lambda: connected(told, {"type": "unix", "path": str(open_folder / "agent")}))


def firmware() -> Path:
    """What it may open: its own part."""
    return next(path for path in Path("/usr/share/seabios").glob("*.bin") if path.stat().st_size % 512 == 0)


def refused(attempt: Callable[[], object]) -> str | None:
    """What QEMU says of it; None when it does it."""
    try:
        attempt()
    except CommandFailed as error:
        return error.message
    return None


def opened(told: Monitor, path: str) -> None:
    options = {"driver": "file", "filename": path, "read-only": True, "locking": "off"}
    told.execute("blockdev-add", **{"node-name": "try", **options})
    told.execute("blockdev-del", **{"node-name": "try"})


def written(told: Monitor, path: str) -> None:
    added(told, {"type": "file", "data": {"out": path}})


def connected(told: Monitor, address: dict[str, str]) -> None:
    kind = address.pop("type")
    data = {"addr": {"type": kind, "data": address}, "server": False}
    added(told, {"type": "socket", "data": data})


def added(told: Monitor, backend: dict[str, object]) -> None:
    told.execute("chardev-add", id="try", backend=backend)
    told.execute("chardev-remove", id="try")
