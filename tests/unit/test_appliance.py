"""The small machine for work on hostile bytes, where KVM takes its QEMU along."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import process
from skinnybox.appliance.appliance import Appliance, operate
from skinnybox.emulation import accelerator
from skinnybox.errors import GuestFailed, Unsupported
from skinnybox.model import Acceleration
from tests.pace import within
from tests.unit.fake_qemu import ASSERTION, DIES, LIVES, FakeQemu


@pytest.fixture
def small(device: Path, kernel: Path) -> Appliance:
    """One that needs no disk."""
    return Appliance(
        kernel=kernel,
        initrd=kernel,
        program=b"",
        files={},
        words="",
        disks=(),
        user=None,
        seconds=60,
    )


def under_kvm(does: str, emulated: str = "echo 'it: kib 3'; echo 'it: done'") -> str:
    """A QEMU whose trial succeeds, and which does that with a real program in it."""
    on_kvm = f'case "$*" in *"-accel kvm"*) {does} ;; *) {emulated} ;; esac'
    return f'case "$*" in *rdinit*) {on_kvm} ;; *) {LIVES} ;; esac'


def heard_of(small: Appliance, scratch: Path) -> list[str]:
    heard: list[str] = []
    operate(small, "it", heard.append, scratch)
    return heard


def test_it_goes_on_emulated_when_kvm_takes_qemu_along(
    small: Appliance, qemu: FakeQemu, tmp_path: Path
) -> None:
    qemu.does(under_kvm(DIES))
    assert heard_of(small, tmp_path) == ["kib 3"]
    known = accelerator.verdict(small.kernel, 2)
    assert not known.works and ASSERTION in known.detail
    heard_of(small, tmp_path)
    assert [("-accel kvm" in start, "rdinit" in start) for start in qemu.starts()] == [
        (True, False),  # the trial
        (True, True),
        (False, True),
        (False, True),  # and the next time nothing is tried
    ]


def test_kvm_alone_is_not_replaced(small: Appliance, qemu: FakeQemu, tmp_path: Path) -> None:
    qemu.does(under_kvm(DIES))
    with pytest.raises(Unsupported, match="Assertion"):
        heard_of(replace(small, accelerator=Acceleration.KVM), tmp_path)


@pytest.mark.parametrize(
    "does",
    [
        pytest.param("echo 'it: failed the disk is damaged'", id="says that it failed"),
        pytest.param("echo 'Kernel panic - not syncing: no'", id="ends without a word"),
        pytest.param(f"echo 'it: kib 3'; {DIES}", id="dies later"),
    ],
)
def test_what_fails_otherwise_is_not_done_again(
    small: Appliance, qemu: FakeQemu, tmp_path: Path, does: str
) -> None:
    qemu.does(under_kvm(does))
    with pytest.raises(GuestFailed):
        heard_of(small, tmp_path)
    assert len(qemu.starts()) == 2 and accelerator.verdict(small.kernel, 2).works


def test_what_dies_emulated_has_failed(small: Appliance, qemu: FakeQemu, tmp_path: Path) -> None:
    qemu.does(under_kvm(DIES, emulated=DIES))
    with pytest.raises(GuestFailed, match="ended too early"):
        heard_of(small, tmp_path)
    assert accelerator.verdict(small.kernel, 2).works


def test_it_ends_with_the_command_that_began_it(qemu: FakeQemu, tmp_path: Path) -> None:
    """However that ends: a kill leaves nobody who could end it."""
    qemu.does("exec sleep 100")
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"a kernel")
    ours = f"""
from pathlib import Path
from skinnybox.appliance.appliance import Appliance, operate
from skinnybox.model import Acceleration
from skinnybox.sandbox import confinement
confinement.allow_weak(True)  # a script is not to be confined
kernel = Path({str(kernel)!r})
small = Appliance(kernel=kernel, initrd=kernel, program=b"", files={{}}, words="", disks=(), user=None,
    seconds=60, accelerator=Acceleration.TCG)
operate(small, "it", print, kernel.parent)
"""
    with subprocess.Popen([sys.executable, "-c", ours]) as command:
        deadline = time.monotonic() + within(30)
        while not qemu.starts():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        [pid] = [int(line.split()[0]) for line in qemu.starts()]
        running = process.identify(pid)
        assert running is not None
        command.kill()
    while process.alive(running):
        assert time.monotonic() < deadline
        time.sleep(0.02)
