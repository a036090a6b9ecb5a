"""A guest that says it is ready long before its ssh answers: no host says so before that."""

import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.events import EventKind
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.hosts.preferences import Preferences
from skinnybox.hosts.qemu import network
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import INITRD_FILE, Instance, Master, Network, Report, Seed, StaticNetwork
from skinnybox.operation import Operation
from tests.conftest import BRIDGE_ADDRESS, INIT, initrd
from tests.xapi.furnished import HOST_KEY, at_work, furnished, host_on

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
SECONDS = 60.0
A_WHILE = 3.0
"""Longer than anything here takes to notice what answers."""
LATE = INIT.replace(b"report ready", b"online 10.0.2.15/24 10.0.2.2\nreport ready").replace(
    b'"address eth0', f'"ssh-host-key {HOST_KEY}" "address eth0'.encode()
)
"""The tiny guest with a network and a host key, and without an ssh server until its console is told."""
SERVE = "echo 'echo SSH-2.0-late' >/bin/banner; chmod +x /bin/banner; nc -ll -p 22 -e /bin/banner &"


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """`folder` is that of a master whose guests are late; `open` lets the instance answer from now on;
    `network` are fields of it."""

    opened: Callable[[], Host]
    open: Callable[[Host, Instance], None]
    folder: Path
    network: dict[str, Any] = field(default_factory=dict)


boots = partial(pytest.param, marks=pytest.mark.boot)


@pytest.fixture(params=["fake", "xapi", boots("restricted"), boots("bridge"), boots("passt")])
def late(request: pytest.FixtureRequest, state: Path) -> Iterator[Late]:
    """Every host, and QEMU with every way in."""
    yield from {"fake": _pretended, "xapi": _on_a_pool}.get(request.param, _booted)(request, state)


def _pretended(request: pytest.FixtureRequest, state: Path) -> Iterator[Late]:
    answers = threading.Event()
    yield Late(
        opened=lambda: FakeHost(state, lambda _: answers.is_set()),
        open=lambda *_: answers.set(),
        folder=request.getfixturevalue("sealed"),
    )


def _on_a_pool(request: pytest.FixtureRequest, state: Path) -> Iterator[Late]:
    with furnished(guest=at_work, ssh=False) as pool:
        yield Late(
            opened=lambda: host_on(pool, state),
            open=lambda *_: pool.ssh.open(),
            folder=request.getfixturevalue("sealed"),
        )


def _booted(request: pytest.FixtureRequest, state: Path) -> Iterator[Late]:
    chosen: dict[str, Any] = {"network": Network(request.param)}
    address, gateway = "10.0.2.15/24", "10.0.2.2"
    if request.param == "bridge":
        chosen |= {"bridge": request.getfixturevalue("bridge_name"), "ssh_port": None}
        address, gateway = "198.18.77.9/24", BRIDGE_ADDRESS
    if request.param == "passt":
        if not network.verdict().works:
            pytest.skip(network.verdict().detail)
        static = StaticNetwork(address=address, gateway=gateway)
        chosen |= {"seed": Seed(hostname="web-01", machine_id="0" * 32, network=static)}
    folder = request.getfixturevalue("late_guest")(address, gateway)
    yield Late(opened=lambda: QemuHost(state), open=_serve, folder=folder, network=chosen)


def _serve(host: Host, instance: Instance) -> None:
    with host.console(instance.uuid) as console:
        console.sendall(SERVE.encode() + b"\n")


@pytest.fixture
def late_guest(tiny_guest: Path, test_kernel: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """The folder of a master whose guests have this address and gateway."""

    def make(address: str, gateway: str) -> Path:
        busybox = run.find("busybox")
        assert busybox is not None
        folder = tmp_path / "late"
        shutil.copytree(tiny_guest, folder)
        (folder / INITRD_FILE).chmod(0o644)
        init = LATE.replace(b"10.0.2.15/24", address.encode()).replace(b"10.0.2.2\n", f"{gateway}\n".encode())
        (folder / INITRD_FILE).write_bytes(initrd(test_kernel / "lib/modules", busybox, init))
        return folder

    return make


@pytest.fixture
def started(late: Late, new: New, contents_of: ContentsOf, master: Master) -> Iterator[tuple[Host, Instance]]:
    """A machine whose guest says that it is ready, and does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    host, instance = late.opened(), new(**{"ssh_port": port, **late.network})
    host.create_overlay(instance, contents_of(instance), Operation())
    host.define(instance)
    host.start(instance, master, late.folder, Operation())
    until(host, instance, lambda report: report.ready)
    yield host, instance
    host.power_off(instance)
    host.close()


def until(host: Host, instance: Instance, holds: Callable[[Report], bool]) -> Report:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = host.reports([instance.uuid]).get(instance.uuid)
        if found is not None and holds(found):
            return found
        host.wait_change(1.0)
    raise AssertionError("that never came")


def kinds(host: Host) -> list[EventKind]:
    return [event.kind for event in host.events()]


def test_ready_is_what_can_be_reached(late: Late, started: tuple[Host, Instance]) -> None:
    host, instance = started
    deadline = time.monotonic() + A_WHILE
    while time.monotonic() < deadline:
        report = host.reports([instance.uuid])[instance.uuid]
        assert report.ready and report.reachable is False and kinds(host) == [EventKind.STARTED]
        host.wait_change(0.5)
    late.open(host, instance)
    assert until(host, instance, lambda report: report.reachable is True).ready
    assert eventually(lambda: kinds(host) == [EventKind.STARTED, EventKind.READY])
    again = late.opened()
    assert again.reports([instance.uuid])[instance.uuid].reachable is True
    assert kinds(again) == [EventKind.STARTED, EventKind.READY]
    again.close()


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


@pytest.mark.parametrize("late", [boots("restricted")], indirect=True)
def test_another_supervisor_goes_on_knocking(late: Late, started: tuple[Host, Instance], state: Path) -> None:
    host, instance = started
    assert host.reports([instance.uuid])[instance.uuid].reachable is False
    inode = (state / "run" / "supervisor.lock").stat().st_ino
    held = re.search(rf"FLOCK +ADVISORY +WRITE (\d+) [0-9a-f:]+:{inode} ", Path("/proc/locks").read_text())
    assert held is not None
    os.kill(int(held[1]), signal.SIGKILL)
    late.open(host, instance)
    assert host.statuses()[instance.uuid].pid
    until(host, instance, lambda report: report.reachable is True)
    assert eventually(lambda: kinds(host) == [EventKind.STARTED, EventKind.READY])


@pytest.mark.parametrize("late", [boots("restricted")], indirect=True)
def test_who_does_not_look_takes_the_guests_word(
    late: Late, started: tuple[Host, Instance], state: Path, master: Master
) -> None:
    _, instance = started
    blind = QemuHost(state, Preferences(reach=False))
    assert blind.reports([instance.uuid])[instance.uuid].reachable is None
    blind.power_off(instance)
    blind.start(instance, master, late.folder, Operation())
    assert until(blind, instance, lambda report: report.ready).reachable is None
    assert eventually(lambda: kinds(blind)[-1] is EventKind.READY)
