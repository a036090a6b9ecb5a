"""A start that goes on emulated when KVM fails it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skinnybox.emulation import accelerator
from skinnybox.emulation.board import Accelerator
from skinnybox.errors import CommandFailed, SkinnyboxError, TimedOut, Unsupported
from skinnybox.hosts.guest_io.machine_output import VANISHED, WITHOUT_A_WORD
from skinnybox.hosts.guest_io.run_folder import listen
from skinnybox.hosts.qemu import watched
from skinnybox.hosts.qemu.watched import Attempt
from skinnybox.model import Acceleration, Power, Status
from skinnybox.operation import Operation
from tests.samples import an_instance
from tests.unit.fake_qemu import ASSERTION, LIVES, FakeQemu

RUNS = Status(power=Power.RUNNING, pid=1, nonce="ab")
NEITHER, WRITES = (0, 0), (0, 3)


class Monitor:
    """QEMU's monitor of a machine that has written so many times to its two disks, and does `doing`."""

    def __init__(self, folder: Path) -> None:
        self.writes, self.doing = NEITHER, "running"
        self._door = listen(folder, "qmp")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                with client, suppress(OSError):
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        client.sendall(b'{"QMP": {}}\n')
        while asked := client.recv(4096):
            disks = ", ".join(
                f'{{"stats": {{"rd_operations": 1, "wr_operations": {count}}}}}' for count in self.writes
            )
            said = f'{{"status": "{self.doing}"}}'
            answer = f"[{disks}]" if b"blockstats" in asked else said if b"status" in asked else "{}"
            client.sendall(f'{{"return": {answer}}}\n'.encode())

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()


@dataclass
class Start:
    """A start on KVM of which the test says how it goes; emulated, it always comes up."""

    kernel: Path
    folder: Path
    monitor: Monitor
    status: Status | None = RUNS
    raises: SkinnyboxError | None = None
    emulated_too: bool = False
    deeds: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def up(self, chosen: Accelerator, note: str) -> None:
        self.deeds.append(f"up {chosen} {note}".strip())
        if self.raises and (chosen is Accelerator.KVM or self.emulated_too):
            raise self.raises
        if chosen is Accelerator.TCG:
            self.status = RUNS

    def down(self) -> None:
        self.deeds.append("down")

    def go(self, wanted: Acceleration = Acceleration.AUTO, patience: float = 0.3) -> Status:
        attempt = Attempt(
            instance=an_instance("a"),
            kernel=self.kernel,
            run_folder=self.folder,
            up=self.up,
            down=self.down,
            status=lambda: self.status,
            operation=Operation(log=self.noted.append),
        )
        return watched.start(attempt, wanted, patience)


@pytest.fixture
def start(device: Path, qemu: FakeQemu, kernel: Path, tmp_path: Path) -> Iterator[Start]:
    """Where a trial has found that KVM works."""
    qemu.does(LIVES)
    monitor = Monitor(tmp_path)
    yield Start(kernel=kernel, folder=tmp_path, monitor=monitor)
    monitor.close()


def fails(start: Start, why: str, *, down: bool = True) -> None:
    """It went on emulated, said so with its start, and the next one begins so."""
    assert start.go().pid
    assert start.deeds[0] == "up kvm" and ("down" in start.deeds) is down
    said = start.deeds[-1]
    assert said.startswith("up tcg emulated, since KVM failed: ") and why in said
    assert len(start.noted) == 1 and why in start.noted[0] and "emulated from now on" in start.noted[0]
    start.deeds.clear()
    start.go()
    assert start.deeds == ["up tcg"] and len(start.noted) == 1


def lives(start: Start) -> None:
    with suppress(SkinnyboxError):  # one that has ended did not stay up, as ever
        start.go()
    assert start.deeds == ["up kvm"] and accelerator.verdict(start.kernel, 1).works


def test_the_first_machine_is_watched_until_it_writes_to_a_disk(start: Start) -> None:
    start.monitor.writes = WRITES
    lives(start)
    assert accelerator.is_proven(start.kernel, 1)
    start.monitor.writes = NEITHER
    start.go()  # and the next one is not
    assert start.deeds == ["up kvm"] * 2


def test_a_machine_that_does_nothing_goes_on_emulated(start: Start) -> None:
    fails(start, "a did nothing for 0.3 s")


@pytest.mark.parametrize("word", ["console.log", "report.json"])
def test_a_machine_that_says_something_lives_though_it_writes_to_no_disk(start: Start, word: str) -> None:
    (start.folder / word).write_bytes(b"no disk")
    lives(start)


def test_a_machine_that_qemu_stops_goes_on_emulated(start: Start) -> None:
    start.monitor.doing = "internal-error"
    (start.folder / "qemu.log").write_text("odd\nKVM internal error. Suberror: 1\nRAX=0\n")
    (start.folder / "console.log").write_bytes(b"a word")
    fails(start, "KVM internal error. Suberror: 1")


def test_a_qemu_that_dies_once_it_runs_is_replaced(start: Start) -> None:
    start.status = Status(power=Power.CRASHED, reason=f"{VANISHED}: qemu: {ASSERTION}")
    fails(start, ASSERTION)


@pytest.mark.parametrize("error", [CommandFailed(f"QEMU: {ASSERTION}", returncode=-6), TimedOut("no answer")])
def test_a_qemu_that_dies_before_it_runs_is_replaced(start: Start, error: SkinnyboxError) -> None:
    start.raises = error
    fails(start, error.message, down=False)


def test_what_fails_emulated_as_well_is_not_for_kvm_to_answer(start: Start) -> None:
    start.raises, start.emulated_too = CommandFailed("no such network"), True
    with pytest.raises(CommandFailed, match="no such network"):
        start.go()
    assert accelerator.verdict(start.kernel, 1).works


@pytest.mark.parametrize(
    "ended",
    [
        None,
        Status(power=Power.CRASHED, reason="kernel panic: VFS: no root"),
        Status(power=Power.CRASHED, reason="the guest gave up: there is no overlay"),
        Status(power=Power.CRASHED, reason=VANISHED + WITHOUT_A_WORD),
    ],
    ids=["powered off", "panic", "gave up", "killed"],
)
def test_a_guest_that_ends_by_itself_is_no_failure_of_kvm(start: Start, ended: Status | None) -> None:
    start.status = ended
    lives(start)


def test_kvm_alone_is_not_replaced_but_the_next_start_knows(start: Start) -> None:
    with pytest.raises(Unsupported, match="a did nothing") as refused:
        start.go(Acceleration.KVM)
    assert refused.value.hint and start.deeds == ["up kvm", "down"]
    with pytest.raises(Unsupported, match="a did nothing"):
        start.go(Acceleration.KVM)
    assert start.deeds == ["up kvm", "down"]


def test_tcg_is_not_watched(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_failure", lambda *_: pytest.fail("it is watched"))
    start.go(Acceleration.TCG)
    assert start.deeds == ["up tcg"]
