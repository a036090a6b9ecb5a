"""Disks that grow while their machine runs: what hosts promise that can do it, and one that cannot."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox.errors import CommandFailed, Conflict, NoSpace, SkinnyboxError, Unsupported
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.guest_io.qmp import Monitor
from skinnybox.hosts.local.host import LocalHost
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Allocation, Instance, Master, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import MIB

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]


@pytest.fixture
def instance(running_host: Host, new: New, contents_of: ContentsOf) -> Instance:
    made = new(overlay=Overlay(size=64 * MIB, allocation=Allocation.RESERVED))
    running_host.create_overlay(made, contents_of(made), Operation())
    running_host.define(made)
    return made


@pytest.fixture
def growing(running_host: Host) -> LocalHost:
    if not running_host.grows_running:
        pytest.skip("disks of this host grow while their machine is off")
    assert isinstance(running_host, LocalHost)
    return running_host


def file_of(host: LocalHost, instance: Instance) -> Path:
    return host._store.overlay(instance.uuid)


def test_a_host_that_cannot_refuses(
    running_host: Host, instance: Instance, master: Master, bootable: Path
) -> None:
    running_host.start(instance, master, bootable, Operation())
    if running_host.grows_running:
        pytest.skip("this one can")
    with pytest.raises(Unsupported):
        running_host.enlarge_running(instance, 96 * MIB, Operation())
    assert running_host.overlay_size(instance) == 64 * MIB


def test_a_disk_grows_under_a_machine_that_runs(
    growing: LocalHost, reopen: Callable[[], Host], instance: Instance, master: Master, bootable: Path
) -> None:
    with pytest.raises(Conflict):
        growing.enlarge_running(instance, 96 * MIB, Operation())
    assert growing.overlay_size(instance) == 64 * MIB
    growing.start(instance, master, bootable, Operation())
    for size in (96, 96, 80):  # never smaller
        growing.enlarge_running(instance, size * MIB, Operation())
        assert growing.overlay_size(instance) == 96 * MIB
    other = reopen()
    assert other.overlay_size(instance) == 96 * MIB
    other.close()
    growing.power_off(instance)
    with growing.open_overlay(instance, Operation()) as path:
        assert path.stat().st_size == 96 * MIB


def test_nobody_copies_it_meanwhile(
    growing: LocalHost, instance: Instance, master: Master, bootable: Path, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    growing.start(instance, master, bootable, Operation())
    found: list[type[BaseException]] = []

    def copying(*_: object) -> None:
        with pytest.raises(Conflict) as raised:
            growing.copy_overlay(instance, tmp_path / "copy", Operation())
        found.append(raised.type)

    monkeypatch.setattr(growing, "_resize_running", copying)
    growing.enlarge_running(instance, 96 * MIB, Operation())
    assert found == [Conflict]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, Conflict])
def test_what_was_broken_off_is_finished(
    growing: LocalHost, instance: Instance, master: Master, bootable: Path, raised: type[BaseException]
) -> None:
    """The file is larger, and the machine does not know, or nobody knows whether it does."""
    growing.start(instance, master, bootable, Operation())
    with broken(growing, raised), pytest.raises(raised):
        growing.enlarge_running(instance, 96 * MIB, Operation())
    assert growing.overlay_size(instance) == 96 * MIB
    growing.enlarge_running(instance, 96 * MIB, Operation())
    assert growing.overlay_size(instance) == 96 * MIB


def test_what_the_machine_refuses_has_not_happened(
    growing: LocalHost, instance: Instance, master: Master, bootable: Path
) -> None:
    growing.start(instance, master, bootable, Operation())
    with broken(growing, CommandFailed), pytest.raises(CommandFailed):
        growing.enlarge_running(instance, 96 * MIB, Operation())
    assert growing.overlay_size(instance) == 64 * MIB


@contextmanager
def broken(host: LocalHost, raised: type[BaseException]):  # type: ignore[no-untyped-def]
    def breaks(*_: object) -> None:
        raise raised("broken off") if issubclass(raised, SkinnyboxError) else raised

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "_resize_running", breaks)
        yield


@pytest.mark.boot
class TestQemu:
    """What only the real one shows."""

    @pytest.fixture
    def running_kind(self) -> str:
        return "qemu"

    def test_its_guest_sees_it_and_may_write_there(
        self, growing: QemuHost, instance: Instance, master: Master, bootable: Path
    ) -> None:
        growing.start(instance, master, bootable, Operation())
        growing.enlarge_running(instance, 96 * MIB, Operation())
        with Monitor(growing._run(instance.uuid)) as monitor:
            nodes = monitor.execute("query-named-block-nodes", flat=True)
            sizes = {node["node-name"]: node["image"]["virtual-size"] for node in nodes}
        assert sizes["overlay"] == sizes["overlay-file"] == 96 * MIB
        pid = growing.statuses()[instance.uuid].pid
        limit = next(
            line.split()[3] for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
            if line.startswith("Max file size")
        )  # fmt: skip
        assert int(limit) == 96 * MIB

    def test_reserved_room_stays_reserved(
        self, growing: QemuHost, instance: Instance, master: Master, bootable: Path
    ) -> None:
        growing.start(instance, master, bootable, Operation())
        growing.enlarge_running(instance, 96 * MIB, Operation())
        assert file_of(growing, instance).stat().st_blocks * 512 >= 96 * MIB

    def test_without_room_nothing_is_touched(
        self, growing: QemuHost, instance: Instance, master: Master, bootable: Path
    ) -> None:
        growing.start(instance, master, bootable, Operation())
        with pytest.raises(NoSpace):
            growing.enlarge_running(instance, 1 << 42, Operation())
        file = file_of(growing, instance).stat()
        assert (file.st_size, file.st_blocks * 512 < 80 * MIB) == (64 * MIB, True)

    def test_two_at_once_do_not_meet(
        self, growing: QemuHost, instance: Instance, master: Master, bootable: Path
    ) -> None:
        growing.start(instance, master, bootable, Operation())
        refused: list[BaseException] = []

        def grow(size: int) -> None:
            try:
                growing.enlarge_running(instance, size, Operation())
            except Conflict as error:
                refused.append(error)

        threads = [threading.Thread(target=grow, args=(size * MIB,)) for size in (80, 96, 112)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) < 3 and growing.overlay_size(instance) in (80 * MIB, 96 * MIB, 112 * MIB)
