"""Copies of the overlay of a machine that runs: what a power cut would leave, and nothing left behind."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from skinnybox import process
from skinnybox.errors import Conflict
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.guest_io.qmp import Monitor
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Allocation, Consistency, DataDisk, DiskKind, Instance, Master, Overlay
from skinnybox.operation import Operation
from skinnybox.overlays.seed import data_message
from skinnybox.sizes import MIB
from tests.pace import within

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
Child: TypeAlias = "subprocess.Popen[bytes]"
OURS = "skinnybox-copy"


@pytest.fixture
def instance(running_host: Host, new: New, contents_of: ContentsOf) -> Instance:
    made = new(overlay=Overlay(size=64 * MIB, allocation=Allocation.RESERVED))
    running_host.create_overlay(made, contents_of(made, b"an-identity"), Operation())
    running_host.define(made)
    return made


def test_a_running_machine_is_copied(
    running_host: Host, reopen: Callable[[], Host], instance: Instance, master: Master, bootable: Path,
    contents_of: ContentsOf, tmp_path: Path,
) -> None:  # fmt: skip
    running_host.start(instance, master, bootable, Operation())
    copy = tmp_path / "copy.img"
    assert running_host.copy_overlay(instance, copy, Operation()) is Consistency.CRASH
    assert contents_of(instance).seed in copy.read_bytes()
    assert copy.stat().st_size == 64 * MIB and copy.stat().st_blocks * 512 < 8 * MIB
    snapshot = running_host.take_snapshot(instance, "live", Operation())
    assert snapshot.consistent is Consistency.CRASH
    with running_host.open_snapshot(instance, "live", Operation()) as path:
        assert path.read_bytes() == copy.read_bytes()
    other = reopen()
    assert other.statuses()[instance.uuid].pid is not None
    with pytest.raises(Conflict):
        running_host.rebuild_overlay(instance, 64 * MIB, lambda old, new: None, Operation())
    other.close()
    running_host.power_off(instance)
    assert running_host.copy_overlay(instance, tmp_path / "again", Operation()) is Consistency.STOPPED


def test_a_data_disk_is_copied_while_its_machine_runs(
    running_host: Host, new: New, master: Master, bootable: Path, contents_of: ContentsOf
) -> None:
    """And another command that would put another in its place is kept from it."""
    data = DataDisk(size=48 * MIB, folders=("/data",), allocation=Allocation.RESERVED)
    made = new(overlay=Overlay(size=64 * MIB, allocation=Allocation.RESERVED), data=data)
    base = data_message(made)
    running_host.create_overlay(made, contents_of(made), Operation())
    running_host.create_overlay(made, Contents(base=base), Operation(), DiskKind.DATA)
    running_host.define(made)
    running_host.start(made, master, bootable, Operation())
    kept = running_host.take_snapshot(made, "live", Operation(), data=True)
    assert (kept.data, kept.consistent) == (True, Consistency.CRASH)
    with running_host.open_snapshot(made, "live", Operation(), DiskKind.DATA) as path:
        assert path.stat().st_size == 48 * MIB and base in path.read_bytes()
    with pytest.raises(Conflict):
        running_host.rebuild_overlay(made, 48 * MIB, lambda old, new: None, Operation(), DiskKind.DATA)
    running_host.power_off(made)
    running_host.delete(made)


# Its snapshot gets no further than QEMU's part having begun, until its standard input is closed.
TAKE = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background ignores it
from skinnybox.hosts.guest_io import backup
from skinnybox.operation import Operation
from skinnybox.hosts.qemu.host import QemuHost

def wait(folder, deadline, operation):
    print("begun", flush=True)
    sys.stdin.read()

backup._await = wait
host = QemuHost(Path(sys.argv[1]))
host.take_snapshot(next(iter(host.records())), "killed", Operation())
"""


@pytest.mark.boot
def test_what_a_killed_copy_left_in_qemu_is_cleared(
    qemu: QemuHost, new: New, contents_of: ContentsOf, master: Master, tiny_guest: Path, state: Path
) -> None:
    instance = _running(qemu, new, contents_of, master, tiny_guest)
    with _taking(state) as child:
        assert _traces(state, instance) == ([OURS], [OURS], [OURS])
        with pytest.raises(Conflict, match="another command"):
            qemu.take_snapshot(instance, "second", Operation())
        child.kill()
        child.wait()
    assert _traces(state, instance) == ([OURS], [OURS], [OURS])
    qemu.take_snapshot(instance, "third", Operation())
    assert _traces(state, instance) == ([], [], [])
    folder = state / "instances" / str(instance.uuid) / "snapshots"
    assert sorted(p.name for p in folder.iterdir()) == ["third.img", "third.json"]


@pytest.mark.boot
def test_a_machine_that_dies_or_a_user_who_interrupts_leaves_no_copy(
    qemu: QemuHost, new: New, contents_of: ContentsOf, master: Master, tiny_guest: Path, state: Path
) -> None:
    instance = _running(qemu, new, contents_of, master, tiny_guest)
    folder = state / "instances" / str(instance.uuid) / "snapshots"
    with _taking(state) as child:
        child.send_signal(signal.SIGINT)
        assert child.wait(within(60)) != 0
    assert _traces(state, instance) == ([], [], [])
    assert list(folder.iterdir()) == []
    pid = qemu.statuses()[instance.uuid].pid
    assert pid is not None
    machine = process.identify(pid)
    assert machine is not None
    with _taking(state) as child, process.held(machine) as pidfd:
        assert pidfd is not None and child.stdin is not None
        process.kill(pidfd)
        assert process.ended(pidfd, 60)
        child.stdin.close()
        assert child.wait(within(60)) == 1
    assert qemu.snapshots(instance) == []
    assert list(folder.iterdir()) == []


def _running(qemu: QemuHost, new: New, contents_of: ContentsOf, master: Master, tiny_guest: Path) -> Instance:
    instance = new(overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE))
    qemu.create_overlay(instance, contents_of(instance), Operation())
    qemu.define(instance)
    qemu.start(instance, master, tiny_guest, Operation())
    return instance


@contextlib.contextmanager
def _taking(state: Path) -> Iterator[Child]:
    """Another process that takes a snapshot, and has just begun."""
    words = [sys.executable, "-c", TAKE, str(state)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"begun\n"
        yield child


def _traces(state: Path, instance: Instance) -> tuple[list[str], list[str], list[str]]:
    """Jobs, disks and files of ours in the machine's QEMU."""
    with Monitor(state / "run" / str(instance.uuid)) as monitor:
        jobs = [job["id"] for job in monitor.execute("query-jobs")]
        nodes = [node["node-name"] for node in monitor.execute("query-named-block-nodes", flat=True)]
        files = [file.get("opaque") for found in monitor.execute("query-fdsets") for file in found["fds"]]
    return jobs, [name for name in nodes if name == OURS], [name for name in files if name == OURS]
