"""A furnished pool on two hosts, and a session of the official SDK on it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import XenAPI

from tests.emulators.xapi import EmulatedPool
from tests.xapi import records


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


@pytest.fixture
def pool() -> Iterator[EmulatedPool]:
    with EmulatedPool(hosts=("alpha", "beta")) as pool:
        yield pool


@pytest.fixture
def place(pool: EmulatedPool) -> Iterator[Place]:
    thin, thick = pool.add_sr("shared", "nfs"), pool.add_sr("local", "lvm", on=[0])
    network, template = pool.add_network("lan"), pool.add_template("Debian")
    with pool.session() as api:
        pool.log.clear()
        yield Place(pool, api, thin, thick, network, template)


@pytest.fixture
def refused() -> Callable[..., list[str]]:
    """What a call was refused with; the test fails when it was not."""

    def details(call: Callable[..., Any], *params: Any) -> list[str]:
        with pytest.raises(XenAPI.Failure) as caught:
            call(*params)
        return list(caught.value.details)

    return details
