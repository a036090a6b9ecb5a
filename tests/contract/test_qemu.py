"""What only the QEMU host promises: real processes, hostile guests, ends of every kind."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox import layout
from skinnybox.emulation.board import Accelerator
from skinnybox.emulation.trial import Patience, boots
from skinnybox.errors import Conflict
from skinnybox.hosts.base import Contents
from skinnybox.hosts.guest_io.machine_output import LOG_SIZE
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.json_file import read_json
from skinnybox.model import Instance, Master, Network, Power, Status
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.contract.conftest import contents
from tests.pace import within
from tests.samples import a_master, an_instance

pytestmark = pytest.mark.boot

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
SECONDS = 60.0


class Guest:
    """One machine with the tiny guest, and its console."""

    def __init__(self, host: QemuHost, instance: Instance, boot: Callable[[], Status], state: Path) -> None:
        self.host, self.instance, self.boot = host, instance, boot
        self.folder = state / "run" / str(instance.uuid)

    def start(self) -> Status:
        status = self.boot()
        self.until(lambda: self.instance.uuid in self.host.reports([self.instance.uuid]))
        return status

    def says(self, line: str) -> None:
        with self.host.console(self.instance.uuid) as console:
            console.sendall(line.encode() + b"\n")

    def until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + within(SECONDS)
        while not holds():
            assert time.monotonic() < deadline, self.log()[-3000:].decode("utf-8", "replace")
            time.sleep(0.05)

    def prints(self, words: bytes) -> None:
        self.until(lambda: words in self.log())

    def log(self) -> bytes:
        return self.host.console_log(self.instance.uuid)

    def status(self) -> Status | None:
        return self.host.statuses().get(self.instance.uuid)

    def is_told(self) -> bool:
        """Whether all has been written down that follows from its first report."""
        return (read_json(self.folder / "told.json") or {}).get("state") == "ready"

    def crashes(self) -> str:
        self.until(lambda: (found := self.status()) is None or found.power is not Power.RUNNING)
        found = self.status()
        assert found is not None and found.power is Power.CRASHED and found.reason and found.pid is None
        return found.reason


@pytest.fixture
def guest(
    qemu: QemuHost, new: New, contents_of: ContentsOf, master: Master, tiny_guest: Path, state: Path
) -> Guest:
    instance = new(ssh_port=free_port())
    qemu.create_overlay(instance, contents_of(instance), Operation())
    qemu.define(instance)
    return Guest(qemu, instance, lambda: qemu.start(instance, master, tiny_guest, Operation()), state)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def running(tiny_guest: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """One machine that is up, for all tests that leave it as it is."""
    state = tmp_path_factory.mktemp("running")
    host = QemuHost(state)
    instance = an_instance(ssh_port=free_port(), memory=128 * MIB, network=Network.RESTRICTED)
    host.create_overlay(instance, contents(instance), Operation())
    host.define(instance)
    shared = Guest(host, instance, lambda: host.start(instance, a_master(), tiny_guest, Operation()), state)
    shared.start()
    yield shared
    host.power_off(instance)
    host.close()


def supervisor(guest: Guest) -> int:
    """The pid of the one that serves the guest's folder, by the lock it holds."""
    inode = (guest.folder.parent / "supervisor.lock").stat().st_ino
    held = re.search(rf"FLOCK +ADVISORY +WRITE (\d+) [0-9a-f:]+:{inode} ", Path("/proc/locks").read_text())
    assert held is not None
    return int(held[1])


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size_of(path: Path) -> int:
    """Nothing when it is gone: the supervisor replaces its files under our eyes."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def test_qemu_is_confined(running: Guest) -> None:
    guest, status = running, running.status()
    assert status is not None
    shown = dict(line.split(":\t", 1) for line in Path(f"/proc/{status.pid}/status").read_text().splitlines())
    assert shown["NoNewPrivs"] == "1"
    assert shown["Seccomp"] == "2"
    if os.geteuid() == 0:
        assert {int(word) for word in shown["Uid"].split()} == {
            0x7000_0000 + guest.instance.uuid.int % 0x0FFF_0000
        }
        assert shown["Groups"].split() == []


def test_a_panic_is_a_crash_with_its_last_words(guest: Guest) -> None:
    pid = guest.start().pid
    guest.says("rmmod pvpanic-mmio; echo c > /proc/sysrq-trigger")
    assert guest.crashes() == "kernel panic: sysrq triggered crash"
    assert b"Kernel panic - not syncing: sysrq triggered crash" in guest.log()
    assert not Path(f"/proc/{pid}").exists()
    guest.host.power_off(guest.instance)
    assert guest.status() is None


def test_a_panic_told_by_the_panic_device_is_one_too(guest: Guest) -> None:
    guest.start()
    guest.says("echo c > /proc/sysrq-trigger")
    assert "panic" in guest.crashes()


def test_a_killed_qemu_is_a_crash_and_starts_again(guest: Guest) -> None:
    first = guest.start()
    assert first.pid
    os.kill(first.pid, signal.SIGKILL)
    assert "vanished" in guest.crashes()
    assert guest.start().nonce != first.nonce
    assert guest.status() is not None


def test_a_guest_that_gives_up_says_why(guest: Guest) -> None:
    guest.start()
    guest.says("report failed 'reason the overlay is missing'; poweroff -f")
    assert guest.crashes() == "the guest gave up: the overlay is missing"


def test_a_reboot_happens_in_place(guest: Guest) -> None:
    status = guest.start()
    first = guest.host.reports([guest.instance.uuid])[guest.instance.uuid]
    guest.says("echo REBOOTING; reboot -f")
    guest.until(
        lambda: guest.host.reports([guest.instance.uuid])[guest.instance.uuid].received != first.received
    )
    assert guest.status() == status


def test_a_false_report_is_refused(guest: Guest) -> None:
    guest.start()
    good = guest.host.reports([guest.instance.uuid])
    guest.says("report ready 'overlay 1 2'")
    guest.until((guest.folder / "rejected.json").exists)
    assert "more of its overlay is free" in (guest.folder / "rejected.json").read_text()
    guest.says('cat /dev/urandom | head -c 200000 > "$(port)"; report ready "overlay 9 3"')
    guest.until(lambda: guest.host.reports([guest.instance.uuid])[guest.instance.uuid].overlay_size == 9)
    assert good[guest.instance.uuid].overlay_size == 1048576


def test_a_guest_that_prints_for_ever_costs_little(guest: Guest) -> None:
    guest.start()
    guest.says('yes aaaaaaaaaaaaaaaaaaaaaaaaaaaa > "$(port)" & yes bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb')
    guest.prints(b"bbbb\r\nbbbb")
    pid = supervisor(guest)
    before = processor_seconds(pid)
    time.sleep(4)
    assert processor_seconds(pid) - before < 2.0
    assert len(guest.log()) <= 2 * LOG_SIZE
    assert sum(map(size_of, guest.folder.iterdir())) <= 3 * LOG_SIZE
    guest.host.power_off(guest.instance)
    assert guest.status() is None


def test_machines_outlive_the_supervisor(guest: Guest) -> None:
    status = guest.start()
    first = supervisor(guest)
    os.kill(first, signal.SIGKILL)
    assert guest.status() == status
    guest.says("echo still $((40+2))")
    guest.prints(b"still 42")
    assert supervisor(guest) != first
    guest.says("poweroff -f")
    guest.until(lambda: guest.status() is None)


def test_the_end_is_known_also_when_nobody_listened(guest: Guest) -> None:
    pid = guest.start().pid
    os.kill(supervisor(guest), signal.SIGKILL)
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert "vanished" in guest.crashes()


def test_a_taken_port_is_named(guest: Guest) -> None:
    port = guest.instance.ssh_port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(Conflict, match=str(port)):
        guest.boot()
    assert guest.status() is None
    with guest.host.open_overlay(guest.instance, Operation()):
        pass


@contextlib.contextmanager
def loopback_service() -> Iterator[tuple[int, list[str]]]:
    """A server on the host's 127.0.0.1; the port, and who came."""
    callers: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    caller, address = server.accept()
                    callers.append(str(address))
                    caller.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], callers
        over.set()
        thread.join()


def test_ssh_comes_in_and_nothing_goes_out(running: Guest) -> None:
    guest = running
    guest.says("online 10.0.2.15/24 10.0.2.2; echo online=$?; (echo SSH-2.0-tiny | nc -l -p 22) &")
    guest.prints(b"online=0")
    guest.until(lambda: _greeting(guest) == b"SSH-2.0-tiny\n")
    with loopback_service() as (port, callers):
        guest.says(f"nc -w 2 10.0.2.2 {port} < /dev/null; echo closed=$?")
        guest.prints(b"closed=1")
    assert callers == []


def test_an_open_network_is_open(
    qemu: QemuHost, new: New, contents_of: ContentsOf, master: Master, tiny_guest: Path, state: Path
) -> None:
    """The control of the test above: the same knock is heard, so silence there means something."""
    instance = new(network=Network.OPEN)
    qemu.create_overlay(instance, contents_of(instance), Operation())
    qemu.define(instance)
    guest = Guest(qemu, instance, lambda: qemu.start(instance, master, tiny_guest, Operation()), state)
    guest.start()
    guest.says("online 10.0.2.15/24 10.0.2.2")
    with loopback_service() as (port, callers):
        guest.says(f"nc -w 2 10.0.2.2 {port} < /dev/null; echo open=$?")
        guest.prints(b"open=0")
    assert len(callers) == 1


def _greeting(guest: Guest) -> bytes:
    address = ("127.0.0.1", guest.instance.ssh_port)
    with contextlib.suppress(OSError), socket.create_connection(address, 5) as client:
        client.settimeout(5)
        return client.recv(100)
    return b""


def test_the_record_of_a_start_is_complete(running: Guest) -> None:
    guest, status = running, running.status()
    assert status is not None
    values = json.loads((guest.folder / "machine.json").read_text())
    assert values["pid"] == status.pid and values["nonce"] == status.nonce
    assert values["network"] == "restricted" and values["accelerator"] in ("tcg", "kvm")


def test_a_trial_tells_a_kernel_that_runs_from_one_that_hangs(tiny_guest: Path) -> None:
    kernel, patient = tiny_guest / "kernel", Patience(word=SECONDS, end=2 * SECONDS)
    for cpus in (1, 2):
        assert boots(Accelerator.TCG, kernel, cpus, patient).works
    hung = boots(Accelerator.TCG, kernel, 1, Patience(word=0.0, end=0.0))
    assert not hung.works and "says nothing" in hung.detail


def test_no_process_of_a_machine_has_the_environment_of_who_started_it(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU, passt where it serves, and the supervisor live on for months, as users that a guest may be."""
    monkeypatch.setenv("SKINNYBOX_XAPI_PASSWORD", "sesame-48151623")
    guest.start()
    status = guest.status()
    assert status is not None and status.pid
    environments = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is nobody's to look into
            environments[int(path.parent.name)] = path.read_bytes()
    assert b"PATH=" in environments[status.pid] and environments[supervisor(guest)]
    assert not [pid for pid, found in environments.items() if b"sesame" in found]
    assert b"HOME=" not in environments[status.pid] + environments[supervisor(guest)]


def test_what_a_run_makes_is_ours_alone_whatever_the_umask(guest: Guest, state: Path) -> None:
    """And QEMU, which is another user, gets all it needs nevertheless: it is handed that."""
    before = os.umask(0)
    try:
        guest.start()
    finally:
        os.umask(before)
    found = {}
    for path in state.rglob("*"):
        placed = layout.placed(str(path.relative_to(state)))
        assert placed is not None, path
        found[placed.part.path] = stat.S_IMODE(path.lstat().st_mode), placed.part.mode
    assert {path: modes for path, modes in found.items() if modes[0] != modes[1]} == {}
    assert {"run/supervisor", "run/<uuid>/qmp", "run/<uuid>/qemu.log", "run/<uuid>/report.json"} <= set(found)
