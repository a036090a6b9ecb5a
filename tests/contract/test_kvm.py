"""A KVM that runs no machine: pretended, by a QEMU that fails as real ones were seen to, and the real one of
this machine, opened for its group as installing libvirt does it."""

import grp
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.emulation import accelerator
from skinnybox.errors import Unsupported
from skinnybox.hosts.base import Contents
from skinnybox.hosts.events import EventKind
from skinnybox.hosts.preferences import Preferences
from skinnybox.hosts.qemu import watched
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.json_file import read_json
from skinnybox.model import Acceleration, Instance, Master
from skinnybox.operation import Operation
from skinnybox.sandbox import confinement

pytestmark = pytest.mark.boot

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
SECONDS = 60.0
DEVICE = Path("/dev/kvm")

# Under KVM a trial succeeds, and a machine does what {does} says; {loop} is firmware that loops for ever.
SCRIPT = """#!/bin/sh
real={real}
case " $* " in *' -accel kvm '*) ;; *) exec "$real" "$@" ;; esac
case " $* " in
*' -S '*) ;;
*)
    echo 'Linux version 6'
    echo 'Kernel panic - not syncing: Attempted to kill init! exitcode=0x00002a00'
    exit
    ;;
esac
for word; do
    shift
    case $word in kvm) word=tcg ;; host) word=qemu64,-svm ;; esac
    set -- "$@" "$word"
done
dies() {{ echo "qemu: kvm_buf_set_msrs: Assertion failed." >&2; kill -ABRT $$; }}
{does}
"""
AT_ONCE = "dies"
# Waited for, or "dies" would leave one that still ends, and with it the lock of the disk.
RUNNING = '"$real" "$@" -bios {loop} & sleep 3; kill -9 $!; wait $!; dies'
SILENT = 'exec "$real" "$@" -bios {loop}'
LIVES = 'exec "$real" "$@"'


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A KVM under which machines do that. QEMU's users may read and run all of it."""
    device, real = tmp_path / "kvm", run.find("qemu-system-x86_64")
    assert real is not None
    device.touch()
    device.chmod(0o666)
    monkeypatch.setattr(accelerator, "_DEVICE", device)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        loop, program = folder / "loop", folder / "qemu-system-x86_64"
        loop.write_bytes(b"\xeb\xfe" * 0x8000)  # jmp to itself
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(confinement, "_weak", True)  # a script is not to be confined

        def pretended(does: str) -> None:
            program.write_text(SCRIPT.format(real=shlex.quote(str(real)), does=does.format(loop=loop)))
            program.chmod(0o755)

        yield pretended


class Machine:
    """One with the tiny guest, on a host that wants what it is told."""

    def __init__(self, state: Path, instance: Instance, master: Master, sealed: Path) -> None:
        self.host = QemuHost(state)
        self.instance, self.sealed, self._master = instance, sealed, master
        self.folder = state / "run" / str(instance.uuid)

    def start(self) -> str:
        """Until it reports; on what it runs."""
        self.host.start(self.instance, self._master, self.sealed, Operation())
        deadline = time.monotonic() + SECONDS
        while not self.host.reports([self.instance.uuid]):
            assert time.monotonic() < deadline, self.host.console_log(self.instance.uuid)[-2000:]
            time.sleep(0.1)
        return str((read_json(self.folder / "machine.json") or {})["accelerator"])

    def told(self) -> list[str]:
        found = self.host.events()
        return [event.detail for event in found if event.kind is EventKind.STARTED and event.detail]


@pytest.fixture
def machine(
    state: Path, qemu: QemuHost, new: New, contents_of: ContentsOf, master: Master, tiny_guest: Path
) -> Machine:
    instance = new()
    qemu.create_overlay(instance, contents_of(instance), Operation())
    qemu.define(instance)
    return Machine(state, instance, master, tiny_guest)


@pytest.mark.parametrize(
    ("does", "why"),
    [
        pytest.param(AT_ONCE, "Assertion failed", id="dies before it runs"),
        pytest.param(RUNNING, "Assertion failed", id="dies once it runs"),
        pytest.param(SILENT, "did nothing for 4 s", id="hangs"),
    ],
)
def test_a_start_that_kvm_fails_goes_on_emulated(
    pretend: Callable[[str], None],
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    does: str,
    why: str,
) -> None:
    monkeypatch.setattr(watched, "PATIENCE", 4.0 if does == SILENT else SECONDS)
    pretend(does)
    assert machine.start() == "tcg"
    assert len(machine.told()) == 1 and why in machine.told()[0]
    machine.host.power_off(machine.instance)
    began = time.monotonic()
    assert machine.start() == "tcg" and len(machine.told()) == 1  # said once, and not tried again
    assert time.monotonic() - began < SECONDS


def test_a_start_that_kvm_bears_is_left_alone(pretend: Callable[[str], None], machine: Machine) -> None:
    pretend(LIVES)
    assert machine.start() == "kvm" and machine.told() == []
    assert accelerator.is_proven(machine.sealed / "kernel", machine.instance.cpus)


def test_who_wants_kvm_alone_is_told_why_not(
    pretend: Callable[[str], None], machine: Machine, state: Path
) -> None:
    pretend(AT_ONCE)
    machine.host = QemuHost(state, Preferences(acceleration=Acceleration.KVM))
    for _ in range(2):
        with pytest.raises(Unsupported, match="Assertion failed"):
            machine.start()
    assert machine.host.statuses() == {}


OPENED = """
mount -t tmpfs -o mode=755,dev none {here}
mknod {here}/kvm c {major} {minor}
cp /etc/group {here}/group
{{ grep -q ^kvm: {here}/group || echo kvm:x:{gid}:; }} >>{here}/group
mount --bind {here}/group /etc/group
chgrp kvm {here}/kvm
chmod 660 {here}/kvm
mount --bind {here}/kvm /dev/kvm
exec {python} -m pytest -q -p no:cacheprovider tests/contract/test_qemu.py -k record_of_a_start
"""


def test_machines_start_where_kvm_is_opened_for_its_group(tmp_path: Path) -> None:
    """The device of this machine, as it is when libvirt is installed: whether it runs machines or only
    begins to, one comes up. All of it in a mount namespace of its own."""
    if os.geteuid() != 0 or not DEVICE.is_char_device():
        pytest.skip("needs root and /dev/kvm")
    number = DEVICE.stat().st_rdev
    script = OPENED.format(
        here=shlex.quote(str(tmp_path / "opened")),
        major=os.major(number),
        minor=os.minor(number),
        gid=_free_group(),
        python=shlex.quote(sys.executable),
    )
    (tmp_path / "opened").mkdir()
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
    root = Path(__file__).parents[2]
    done = run.run(words, cwd=root, env={"XDG_CACHE_HOME": str(tmp_path / "cache")}, timeout=300)
    assert b"1 passed" in done.stdout
    known = read_json(tmp_path / "cache" / "skinnybox" / "probe-kvm.json")
    assert known is not None and known["tried"], "KVM was not tried"


def _free_group() -> int:
    taken = {group.gr_gid for group in grp.getgrall()}
    return next(number for number in range(900, 2000) if number not in taken)
