"""Emulated pools, a session of the official SDK on one, and what our own hosts are tried with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import XenAPI

from skinnybox.fleet.service import Fleet
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance, Master, Network
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.samples import a_master, a_sealed_folder, an_instance, seal
from tests.xapi import records
from tests.xapi.furnished import furnished, host_on, make_one, plain_disk, ready


@dataclass(frozen=True, slots=True)
class Place:
    """References of what the pool has: shared thin storage, thick storage of the master only, a network."""

    pool: EmulatedPool
    api: Any
    thin: str
    thick: str
    network: str
    template: str

    def disk(self, sr: str | None = None, size: int = 64 << 20, **values: Any) -> str:
        return str(self.api.VDI.create(records.disk(sr or self.thin, size, **values)))

    def drive(self, vm: str, vdi: str, place: str, mode: str = "RW", **values: Any) -> str:
        return str(self.api.VBD.create(records.drive(vm, vdi, place, mode, **values)))

    def machine(self, name: str = "web") -> str:
        vm = self.api.VM.clone(self.template, name)
        self.api.VM.provision(vm)
        return str(vm)


class Sealed(NamedTuple):
    """A master and its folder, as hosts take them."""

    master: Master
    folder: Path


@pytest.fixture
def bare_pool() -> Iterator[EmulatedPool]:
    with EmulatedPool(hosts=("alpha", "beta")) as pool:
        yield pool


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[EmulatedPool]:
    """One host with shared thin storage and a network, as our own hosts want it. GUEST of the test's module
    stands for its guests."""
    with furnished(guest=getattr(request.module, "GUEST", ready)) as pool:
        yield pool


@pytest.fixture
def our_pool() -> Iterator[EmulatedPool]:
    """The same on two hosts."""
    with furnished(hosts=("alpha", "beta")) as pool:
        yield pool


@pytest.fixture
def place(bare_pool: EmulatedPool) -> Iterator[Place]:
    thin, thick = bare_pool.add_sr("shared", "nfs"), bare_pool.add_sr("local", "lvm", on=[0])
    network, template = bare_pool.add_network("lan"), bare_pool.add_template("Debian")
    with bare_pool.session() as api:
        bare_pool.log.clear()
        yield Place(bare_pool, api, thin, thick, network, template)


@pytest.fixture
def refused() -> Callable[..., list[str]]:
    """What a call was refused with; the test fails when it was not."""

    def details(call: Callable[..., Any], *params: Any) -> list[str]:
        with pytest.raises(XenAPI.Failure) as caught:
            call(*params)
        return list(caught.value.details)

    return details


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return Sealed(a_master(), a_sealed_folder(tmp_path / "sealed"))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with the master tiny:1."""
    folder = tmp_path / "state"
    seal(folder, tmp_path, "tiny", "1")
    return folder


@pytest.fixture
def new_instance() -> Callable[..., Instance]:
    """A machine that nobody knows yet."""

    def make(name: str = "web-01") -> Instance:
        return an_instance(name, memory=128 * MIB, network=Network.BRIDGE, bridge="lan")

    return make


@pytest.fixture
def host(pool: EmulatedPool, tmp_path: Path) -> Iterator[XapiHost]:
    """On the pool, with an empty state folder."""
    opened = host_on(pool, tmp_path / "state", make_disk=plain_disk)
    yield opened
    pool.faults.clear()
    opened.close()


@pytest.fixture
def running(host: XapiHost, sealed: Sealed, new_instance: Callable[..., Instance]) -> Instance:
    """Its guest has said that it is ready, and nobody looked since."""
    host.add_master(*sealed, Operation())
    instance = new_instance()
    make_one(host, instance, Operation())
    host.start(instance, *sealed, Operation())
    return instance


@pytest.fixture
def fleet(pool: EmulatedPool, state: Path) -> Iterator[Fleet]:
    """On the pool, without any machine. Who wants some overrides it."""
    with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=1) as fleet:
        yield fleet
