"""The whole of a launch, and of its ends, with a program in QEMU's place that only tells how it was started.

What a real QEMU under a hostile guest could do is in tests/contract/test_isolation.py; this needs no machine,
so that a dropped limit, user or lock is found in seconds.
"""

import contextlib
import json
import os
import socket
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox import process
from skinnybox.emulation import accelerator
from skinnybox.emulation.board import Accelerator
from skinnybox.emulation.user import user_of
from skinnybox.errors import CommandFailed, Conflict, NotFound, NotStarted, SkinnyboxError, Unsupported
from skinnybox.hosts.events import Thresholds
from skinnybox.hosts.guest_io.run_folder import listen, machine_process, read_machine
from skinnybox.hosts.local.store import RECORD
from skinnybox.hosts.preferences import Preferences
from skinnybox.hosts.qemu import ending, launch, network
from skinnybox.layout import SOCKETS
from skinnybox.model import Forward, ImageKind, Network, ranges
from skinnybox.overlays import lock
from skinnybox.sandbox import confinement
from skinnybox.sizes import MIB
from tests.samples import a_master, a_sealed_folder, an_instance

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may choose the user that QEMU runs as")

FAKE = r"""#!/usr/bin/python3 -IS
import json, os, signal, socket, sys
mood = open(os.path.join(os.path.dirname(sys.argv[0]), "mood")).read()
if mood == "refuses":
    print("qemu-system-x86_64: the first line\nqemu-system-x86_64: could not do it")
    sys.exit(3)
if mood == "port":
    print("qemu-system-x86_64: -netdev user,id=net: Could not set up host forwarding rule 'tcp::1-:22'\n-")
    sys.exit(1)
if mood == "led port":
    words = sys.argv[sys.argv.index("-netdev") + 1]
    rule = "Could not set up host forwarding rule 'tcp:127.0.0.1:8080-:80'"
    print(f"qemu-system-x86_64: -netdev {words}: {rule}")
    sys.exit(1)
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
links = {}
for n in os.listdir("/proc/self/fd"):
    try:
        links[n] = os.readlink(f"/proc/self/fd/{n}")
    except OSError:
        pass  # the one that lists them
facts = {
    "argv": sys.argv[1:],
    "status": {key: status[key].split() for key in ("Uid", "Gid", "Groups")},
    "limits": {line[:26].strip(): line[26:].split()[:2] for line in open("/proc/self/limits")},
    "links": links,
    "leads": os.getsid(0) == os.getpid(),
    "cwd": os.getcwd(),
}
os.write(1, b"FACTS " + json.dumps(facts).encode() + b"\n")
number = next(int(w.split("fd=")[1].split(",")[0]) for w in sys.argv if w.startswith("socket,id=qmp,"))
uuid = sys.argv[sys.argv.index("-uuid") + 1] if mood != "another" else "00000000-0000-0000-0000-0000000000ff"
door = socket.socket(fileno=number)
while True:
    client, _ = door.accept()
    client.sendall(b'{"QMP": {}}\r\n')
    for line in client.makefile("rb"):
        asked = json.loads(line)["execute"]
        if asked == "quit" and mood == "deaf":
            continue
        answer = {"UUID": uuid} if asked == "query-uuid" else {}
        client.sendall(json.dumps({"return": answer}).encode() + b"\r\n")
        if asked == "quit":
            sys.exit(0)
"""
LIMITS = Preferences(thresholds=Thresholds(warning=71, critical=72))


class Launch:
    """One instance with its files, and what a launch of it leads to."""

    def __init__(self, folder: Path) -> None:
        self.accelerator = Accelerator.TCG
        self._mood = folder / "bin" / "mood"
        self.sealed = a_sealed_folder(folder / "sealed")
        self.master = a_master()
        self.instance = an_instance(memory=128 * MIB, network=Network.RESTRICTED)
        self.run_folder = folder / "run" / str(self.instance.uuid)
        self.overlay = folder / "instances" / "overlay.img"
        self.overlay.parent.mkdir()
        self.overlay.touch(0o600)
        os.truncate(self.overlay, self.instance.overlay.size)
        self.overlay.with_name(RECORD).touch()

    def mood(self, word: str) -> None:
        """What the program in QEMU's place does, which gets no variable of ours to be told by."""
        self._mood.write_text(word)

    def __call__(self) -> dict[str, Any]:
        """What the program in QEMU's place tells of itself."""
        launch.launch(
            self.instance, self.master, self.sealed, self.overlay, self.run_folder, self.accelerator, LIMITS
        )
        found = self.told()
        assert found is not None
        return found

    def told(self) -> dict[str, Any] | None:
        log = self.run_folder / "qemu.log"
        for line in log.read_text().splitlines() if log.exists() else ():
            if line.startswith("FACTS "):
                found: dict[str, Any] = json.loads(line.removeprefix("FACTS "))
                return found
        return None

    def process(self) -> process.Process:
        values = read_machine(self.run_folder)
        assert values is not None
        return machine_process(values)

    def has_left_nothing(self) -> bool:
        """No process that a guest could be in, no trace that one runs, and the overlay is free."""
        os.close(lock.acquire(self.overlay))
        return not any((self.run_folder / name).exists() for name in ("machine.json", *SOCKETS))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the user that QEMU runs as has to get to it
        program = folder / "bin" / "qemu-system-x86_64"
        program.parent.mkdir()
        program.write_text(FAKE)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(accelerator, "choose", lambda: Accelerator.TCG)
        monkeypatch.setattr(confinement, "_weak", True)  # a script is not to be confined
        made = Launch(folder)
        made.mood("well")
        yield made
        if (values := read_machine(made.run_folder)) is not None:
            ending.end(machine_process(values), made.run_folder, patience=0.1)


def test_it_is_started_as_it_is_recorded(begun: Launch) -> None:
    facts = begun()
    line, values = " ".join(facts["argv"]), json.loads((begun.run_folder / "machine.json").read_text())
    assert f"skinnybox.instance={begun.instance.uuid} skinnybox.nonce={values['nonce']} " in line
    assert len(values["nonce"]) == 32 and "-S -sandbox on," in line and "-accel tcg" in line
    assert values["thresholds"] == [71, 72]
    assert (values["name"], values["network"], values["accelerator"]) == ("web-01", "restricted", "tcg")
    found = process.identify(values["pid"])
    assert found is not None and found == begun.process()
    assert facts["leads"] and facts["cwd"] == "/"


def test_what_cannot_be_shut_in_is_not_begun(begun: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in QEMU's place here is a script."""
    monkeypatch.setattr(confinement, "_weak", False)
    with pytest.raises(
        NotStarted, match=r"could not be set up: .*qemu-system-x86_64 could not be confined"
    ) as caught:
        begun()
    assert caught.value.exit_code == 6 and "confinement = weak" in (caught.value.hint or "")
    assert begun.told() is None and begun.has_left_nothing()


def test_every_start_has_another_nonce(begun: Launch) -> None:
    begun()
    first = read_machine(begun.run_folder)
    ending.end(begun.process(), begun.run_folder)
    begun()
    second = read_machine(begun.run_folder)
    assert first and second and first["nonce"] != second["nonce"]


def test_no_core_file_and_no_file_larger_than_the_overlay(begun: Launch) -> None:
    limits = begun()["limits"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max file size"] == [str(begun.instance.overlay.size), str(ranges.OVERLAY.most)]


@pytest.mark.parametrize(("there", "allowed"), [(40 * MIB, 40 * MIB), (512, MIB)])
def test_the_overlay_counts_as_it_is_and_its_log_has_room(begun: Launch, there: int, allowed: int) -> None:
    os.truncate(begun.overlay, there)
    assert begun()["limits"]["Max file size"] == [str(allowed), str(ranges.OVERLAY.most)]


@needs_root
def test_it_runs_as_a_user_of_its_own(begun: Launch) -> None:
    number = str(0x7000_0000 + begun.instance.uuid.int % 0x0FFF_0000)
    assert begun()["status"] == {"Uid": [number] * 4, "Gid": [number] * 4, "Groups": []}


@needs_root
def test_only_with_kvm_it_is_in_the_group_that_may(begun: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    begun.accelerator = Accelerator.KVM
    monkeypatch.setattr(accelerator, "groups", lambda: (4243,))
    assert begun()["status"]["Groups"] == ["4243"]


def test_who_is_not_root_stays_who_he_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert user_of(an_instance()) is None


def test_it_has_what_it_needs_open_and_nothing_else(begun: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        os.set_inheritable(ours.fileno(), True)
        links: list[str] = sorted(begun()["links"].values())
    sockets = [link for link in links if link.startswith("socket:")]
    sealed = [str(begun.sealed / name) for name in ("initrd", "kernel", "root.erofs")]
    log = str(begun.run_folder / "qemu.log")
    assert [link for link in links if link not in sockets] == sorted(
        ["/dev/null", str(begun.overlay), log, log, *sealed]
    )
    assert len(sockets) == len(SOCKETS)


def test_the_overlay_is_taken_while_it_runs(begun: Launch) -> None:
    """From other commands by our lock, and from every other QEMU by the bytes that QEMU locks."""
    begun()
    with pytest.raises(Conflict, match="in use"):
        lock.acquire(begun.overlay)
    other = os.open(begun.overlay, os.O_RDWR)
    assert lock._others_hold(other, 100, 5) and lock._others_hold(other, 200, 5)
    os.close(other)
    ending.end(begun.process(), begun.run_folder)
    os.close(lock.acquire(begun.overlay))


def test_an_overlay_that_another_qemu_has_open_is_refused(begun: Launch) -> None:
    other = os.open(begun.overlay, os.O_RDWR)
    lock._lock(other, 0, 103, 1, begun.overlay)  # a read lock: "I do 3"
    with pytest.raises(Conflict, match="Skinnybox did not start"):
        begun()
    assert begun.told() is None
    os.close(other)


def test_nothing_of_the_last_run_is_left(begun: Launch) -> None:
    begun.run_folder.mkdir(parents=True, mode=0o755)
    for name in (
        "end.json", "stopping", "stalled", "report.json", "rejected.json", "console.log", "console.log.1",
    ):  # fmt: skip
        (begun.run_folder / name).touch()
    (begun.run_folder / "qemu.log").write_text("of the last run")
    begun()
    assert sorted(path.name for path in begun.run_folder.iterdir()) == sorted(
        ["machine.json", "qemu.log", *SOCKETS]
    )
    assert "of the last run" not in (begun.run_folder / "qemu.log").read_text()


def test_only_we_may_look_into_its_folder(begun: Launch) -> None:
    begun()
    assert stat.S_IMODE(begun.run_folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((begun.run_folder / "qemu.log").stat().st_mode) == 0o600


def test_what_was_deleted_meanwhile_does_not_start(begun: Launch) -> None:
    begun.overlay.with_name(RECORD).unlink()
    with pytest.raises(NotFound, match="deleted meanwhile"):
        begun()
    assert begun.told() is None and begun.has_left_nothing()


def test_it_does_not_begin_before_it_is_recorded(begun: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        time.sleep(0.3)
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "_record", killed)
    with pytest.raises(KeyboardInterrupt):
        begun()
    assert begun.told() is None and begun.has_left_nothing()


@pytest.mark.parametrize("name", ["kernel", "initrd", "root.erofs"])
def test_a_file_of_the_master_that_is_gone_is_named(begun: Launch, name: str) -> None:
    (begun.sealed / name).unlink()
    with pytest.raises(NotFound, match=name):
        begun()
    assert begun.told() is None and begun.has_left_nothing()


def test_only_images_of_its_master_and_only_plain_ones_mapped(begun: Launch) -> None:
    right, stack = begun.instance, begun.instance.stack
    begun.instance = replace(right, stack=replace(stack, images=("sha256:" + "2" * 64,)))
    with pytest.raises(NotFound, match="no image"):
        begun()
    begun.instance = replace(right, stack=replace(stack, dax=True))
    begun.master = a_master(images=(replace(begun.master.images[0], kind=ImageKind.EROFS_LZ4HC),))
    with pytest.raises(Unsupported, match="made to be read"):
        begun()
    assert begun.told() is None and begun.has_left_nothing()


def test_a_port_that_somebody_has_is_named_before_anything_starts(begun: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun.instance = replace(begun.instance, ssh_port=server.getsockname()[1])
        with pytest.raises(Conflict, match=str(begun.instance.ssh_port)):
            begun()
    assert begun.told() is None and begun.has_left_nothing()


def test_a_qemu_that_refuses_is_quoted(begun: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    begun.mood("refuses")
    with pytest.raises(CommandFailed, match="did not start: qemu-system-x86_64: could not do it") as caught:
        begun()
    assert caught.value.returncode == 3 and "the first line" in caught.value.stderr
    assert begun.has_left_nothing()


def test_a_passt_that_ends_is_quoted_and_not_waited_for(
    begun: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU itself answers and goes on: its guest would have no network, and nobody would say why."""

    @contextlib.contextmanager
    def ends(*_: object) -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair()
        theirs.close()
        with (begun.run_folder / "qemu.log").open("a") as log:
            log.write("there is no\x1b[31m route\n")
        with ours:
            yield ours

    monkeypatch.setattr(network, "stream", ends)
    monkeypatch.setattr(network, "choose", lambda _: Network.PASST)
    with pytest.raises(CommandFailed, match="passt for web-01 did not start: ") as caught:
        begun()
    assert "\x1b" not in caught.value.message and "there is no" in caught.value.stderr
    assert begun.has_left_nothing()


def test_a_port_taken_in_the_last_moment_is_a_conflict(
    begun: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun.mood("port")
    with pytest.raises(Conflict, match="in use by another program"):
        begun()
    assert begun.has_left_nothing()


def test_of_several_ports_that_one_is_named_which_could_not_be_had(begun: Launch) -> None:
    begun.instance = replace(begun.instance, forwards=(Forward(port=8080, to=80),))
    begun.mood("led port")
    with pytest.raises(Conflict, match=r"port 8080 of 127\.0\.0\.1 is in use"):
        begun()


def test_another_machine_in_its_place_is_not_taken_for_it(
    begun: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun.mood("another")
    began = time.monotonic()
    with pytest.raises(Conflict, match="another machine answers"):
        begun()
    assert time.monotonic() - began < launch._PATIENCE / 2
    assert begun.has_left_nothing()


def test_one_that_never_answers_is_given_up(begun: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its door is there, as the caller opened it, but what listens behind it is not a QEMU."""
    monkeypatch.setattr(launch, "_PATIENCE", 0.5)
    monkeypatch.setattr(launch, "_answer", lambda _: None)
    with pytest.raises(SkinnyboxError, match="does not answer"):
        begun()
    assert begun.has_left_nothing()


@pytest.mark.parametrize("mood", ["well", "deaf"])
def test_it_is_told_to_quit_and_killed_when_it_does_not(
    begun: Launch, monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    begun.mood(mood)
    begun()
    ours = begun.process()
    ending.end(ours, begun.run_folder, patience=5.0 if mood == "well" else 0.3)
    assert not process.alive(ours) and process.reap(ours.pid) is None
    ending.end(ours, begun.run_folder, patience=0.1)


def test_a_process_that_has_its_pid_now_is_let_be(begun: Launch) -> None:
    begun()
    ours = begun.process()
    ending.end(replace(ours, started=ours.started + 1), begun.run_folder, patience=0.1)
    assert process.alive(ours)


def test_a_socket_of_the_last_run_is_no_obstacle(begun: Launch) -> None:
    begun.run_folder.mkdir(parents=True)
    for name in SOCKETS:
        listen(begun.run_folder, name).close()
    begun()


def test_two_machines_have_two_users() -> None:
    first, second = (an_instance(uuid=uuid.UUID(int=number)) for number in (7, 8))
    if os.geteuid() == 0:
        assert user_of(first) == 0x7000_0007 and user_of(second) == 0x7000_0008
