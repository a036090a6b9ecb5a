"""Every host there is, each in a state folder of its own, and values to try it with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Instance, Master, Network
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.samples import a_master, a_sealed_folder, an_instance
from tests.xapi.furnished import furnished, host_on

_POOLS: dict[Path, EmulatedPool] = {}


def on_a_pool(state: Path) -> Host:
    """Every state folder has a pool of its own, until its test ends."""
    if state not in _POOLS:
        _POOLS[state] = furnished()
    return host_on(_POOLS[state], state)


HOSTS: dict[str, Callable[[Path], Host]] = {"fake": FakeHost, "qemu": QemuHost, "xapi": on_a_pool}

Reopen = Callable[[], Host]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ("a-long-name-" * 12)
    yield folder
    if folder in _POOLS:
        _POOLS.pop(folder).close()


@pytest.fixture(params=HOSTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def in_a_folder(kind: str) -> None:
    """For what only hosts promise that keep disks and records in the state folder."""
    if kind == "xapi":
        pytest.skip("a pool keeps them; tests/xapi looks there")


@pytest.fixture
def host(kind: str, state: Path) -> Iterator[Host]:
    """Any host; no machine is started on it."""
    opened = HOSTS[kind](state)
    yield opened
    opened.close()


@pytest.fixture(params=["fake", "xapi", pytest.param("qemu", marks=pytest.mark.boot)])
def running_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reopen(running_kind: str, state: Path) -> Reopen:
    """Another object for the same folder, as another command has it."""
    return lambda: HOSTS[running_kind](state)


@pytest.fixture
def running_host(reopen: Reopen, state: Path) -> Iterator[Host]:
    """Any host that runs what it is given; all of it is powered off at the end."""
    yield from _cleared(reopen())


@pytest.fixture
def qemu(state: Path) -> Iterator[QemuHost]:
    """The real one."""
    for host in _cleared(QemuHost(state)):
        assert isinstance(host, QemuHost)
        yield host


def _cleared(host: Host) -> Iterator[Host]:
    yield host
    for instance in host.records():
        host.power_off(instance)
    host.close()


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A master's folder that nothing can boot."""
    return a_sealed_folder(tmp_path / "sealed")


@pytest.fixture
def bootable(running_kind: str, request: pytest.FixtureRequest) -> Path:
    """A master's folder good enough for this host."""
    found = request.getfixturevalue("tiny_guest" if running_kind == "qemu" else "sealed")
    assert isinstance(found, Path)
    return found


@pytest.fixture
def master() -> Master:
    return a_master()


Make = Callable[..., Instance]


@pytest.fixture
def new() -> Make:
    """An instance of `master` that nobody knows yet; fields of Instance may be given."""

    def make(name: str = "web-01", **fields: Any) -> Instance:
        return an_instance(name, **{"memory": 128 * MIB, "network": Network.RESTRICTED, **fields})

    return make


def contents(instance: Instance, identity: bytes = b"") -> Contents:
    return Contents(base=base_message(instance), seed=seed_message(instance), identity=identity)


@pytest.fixture
def contents_of() -> Callable[..., Contents]:
    """The messages for a fresh overlay of an instance."""
    return contents
