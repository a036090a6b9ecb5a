"""The disk below the state folder is full: what machines do that run there, and what is known of them."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from skinnybox.hosts.base import Contents
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Instance, Master, Power
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.contract.test_qemu import SECONDS, Guest
from tests.pace import within

pytestmark = pytest.mark.boot

WRITE = "dd if=/dev/urandom of=$(disk skinny-overlay) bs=64k count=128 seek=64 conv=fsync; echo all written"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """On a small filesystem of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        run.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", folder])
    except CommandFailed as error:
        pytest.skip(f"nothing can be mounted here: {error.message}")
    yield folder / "state"
    run.run(["umount", "-l", folder])


@pytest.fixture
def guest(
    qemu: QemuHost,
    new: Callable[..., Instance],
    contents_of: Callable[..., Contents],
    master: Master,
    tiny_guest: Path,
    state: Path,
) -> Guest:
    """A machine that runs, its overlay sparse."""
    instance = new()
    qemu.create_overlay(instance, contents_of(instance), Operation())
    qemu.define(instance)
    guest = Guest(qemu, instance, lambda: qemu.start(instance, master, tiny_guest, Operation()), state)
    guest.start()
    return guest


@contextmanager
def full(state: Path) -> Iterator[None]:
    """Not a byte is free in the block."""
    filler = state.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        for piece in (MIB, 4096):
            try:
                while True:
                    file.write(bytes(piece))
            except OSError:
                continue
    assert os.statvfs(state).f_bavail == 0
    try:
        yield
    finally:
        filler.unlink()


def power(guest: Guest) -> Power | None:
    status = guest.status()
    return status.power if status else None


def kinds(guest: Guest) -> list[str]:
    return [str(event.kind) for event in guest.host.events()]


def test_a_machine_stands_still_and_goes_on(guest: Guest, state: Path) -> None:
    """Its write is not lost, only late."""
    with full(state):
        guest.says(WRITE)
        guest.until(lambda: power(guest) is Power.STALLED)
        status = guest.status()
        assert status is not None and status.pid and status.reason and "is full" in status.reason
        assert b"all written" not in guest.log().replace(WRITE.encode(), b"")
    guest.until(lambda: power(guest) is Power.RUNNING)
    guest.until(lambda: b"\nall written" in guest.log())
    guest.until(lambda: kinds(guest)[-1] == "went-on")
    guest.host.power_off(guest.instance)
    assert guest.status() is None and not (guest.folder / "stalled").exists()


def test_a_machine_stops_on_a_full_disk(guest: Guest, state: Path) -> None:
    with full(state):
        guest.host.shutdown(guest.instance)
        guest.until(lambda: guest.status() is None)
    assert guest.status() is None


def test_the_plug_is_pulled_on_a_full_disk(guest: Guest, state: Path) -> None:
    with full(state):
        guest.host.power_off(guest.instance)
        assert guest.status() is None


def test_a_crash_is_told_when_there_is_room(guest: Guest, state: Path) -> None:
    status = guest.status()
    assert status is not None and status.pid
    with full(state):
        os.kill(status.pid, signal.SIGKILL)
        assert "cannot be written down" in guest.crashes()
    assert "QEMU vanished" in guest.crashes()
    guest.start()
    assert power(guest) is Power.RUNNING


def test_a_report_is_filed_when_there_is_room(guest: Guest, state: Path) -> None:
    uuid = guest.instance.uuid
    with full(state):
        with guest.host.console(uuid) as console:  # its log may have no room for another byte
            console.settimeout(within(SECONDS))
            console.sendall(b"report ready 'overlay 1048576 4096'; echo told'?'\n")
            seen = b""
            while b"told?" not in seen:
                seen += console.recv(4096)
        assert guest.host.reports([uuid])[uuid].overlay_free != 4096
    guest.until(lambda: guest.host.reports([uuid])[uuid].overlay_free == 4096)
