"""A furnished pool on two hosts, and a session of the official SDK on it."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import XenAPI

from skinnybox.model import Allocation, Image, ImageKind, Instance, Master, Network, Overlay, Seed, Stack
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.xapi import records

DIGEST = "sha256:" + hashlib.sha256(b"m" * MIB).hexdigest()


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


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / "sealed"
    folder.mkdir()
    for name in ("kernel", "initrd", "root.erofs"):
        (folder / name).write_bytes(b"m" * MIB)
    return folder


@pytest.fixture
def small_master() -> Master:
    image = Image(kind=ImageKind.EROFS_PLAIN, file="root.erofs", digest=DIGEST, size=MIB)
    return Master(
        id="sha256:" + "1" * 64,
        name="tiny",
        version="1",
        images=(image,),
        kernel="kernel",
        initrd="initrd",
        os="tiny",
        architecture="x86_64",
        kernel_version="6.1",
        tree_size=MIB,
        entries=1,
        guest_protocol=2,
        created=datetime.now(UTC),
    )


@pytest.fixture
def new_instance() -> Callable[..., Instance]:
    """A machine that nobody knows yet."""

    def make(name: str = "web-01") -> Instance:
        return Instance(
            uuid=uuid.uuid4(),
            name=name,
            stack=Stack(master="sha256:" + "1" * 64, reference="tiny:1", images=(DIGEST,)),
            overlay=Overlay(size=32 * MIB, allocation=Allocation.SPARSE),
            seed=Seed(hostname=name, machine_id=uuid.uuid4().hex),
            created=datetime.now(UTC),
            memory=128 * MIB,
            network=Network.BRIDGE,
            bridge="lan",
        )

    return make
