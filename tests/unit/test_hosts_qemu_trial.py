"""The judging of a trial boot: what lives, what hangs, what dies."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.emulation import accelerator, trial
from skinnybox.emulation.board import Accelerator, board, trial_argv
from skinnybox.emulation.trial import boots
from skinnybox.errors import NotFound, NotStarted
from skinnybox.hosts.qemu.command_line import argv
from skinnybox.sandbox import confinement
from tests.unit.fake_qemu import ASSERTION, BEGINS, BRIEF, DIES, HANGS, LIVES, PATIENT, FakeQemu
from tests.unit.test_hosts_qemu import MACHINE


def gone(start: str) -> bool:
    """Whether that start of the fake QEMU has left no process."""
    return not Path(f"/proc/{start.split()[0]}").exists()


def test_a_trial_gives_a_kernel_what_a_machine_gets() -> None:
    for chosen in Accelerator:
        machine = replace(MACHINE, accelerator=chosen)
        tried = trial_argv(chosen, MACHINE.instance.cpus, kernel=10, initrd=11)
        hardware = board(chosen, cpus=MACHINE.instance.cpus, memory=MACHINE.instance.memory)
        hardware.remove("384M")
        assert set(hardware) <= set(tried) and set(hardware) <= set(argv(machine))
        assert tried[tried.index("-sandbox") + 1] == argv(machine)[argv(machine).index("-sandbox") + 1]


def test_the_first_program_of_a_trial_is_one_that_linux_runs(tmp_path: Path) -> None:
    program = tmp_path / "init"
    program.write_bytes(trial.program())
    program.chmod(0o755)
    assert subprocess.run([program], check=False).returncode == 42


def test_a_kernel_that_comes_to_its_first_program_lives(qemu: FakeQemu, kernel: Path) -> None:
    qemu.does(LIVES)
    found = boots(Accelerator.KVM, kernel, 2, PATIENT)
    assert found.works and found.detail == "a Linux kernel started with KVM and 2 processors runs"
    assert "-smp 2" in qemu.starts()[0] and "-cpu host" in qemu.starts()[0]


@pytest.mark.parametrize(
    ("does", "why"),
    [
        pytest.param(HANGS, "says nothing for 1 s", id="hangs at once"),
        pytest.param(f"echo odd; {HANGS}", "says nothing for 1 s; the last it said: odd", id="warns"),
        pytest.param(f"{BEGINS}; echo odd; {HANGS}", "hangs after 2 s; the last it said: odd", id="late"),
        pytest.param(f"{LIVES}; {HANGS}", "hangs after 2 s", id="does not end"),
        pytest.param(DIES, ASSERTION, id="takes QEMU along"),
        pytest.param(f"{LIVES}; kill -SEGV $$", "ends too early (-11)", id="takes QEMU along at its end"),
        pytest.param("exit 0", "ends too early (0): it said nothing", id="starts anew at once"),
        pytest.param(BEGINS, "ends too early (0): Linux version", id="starts anew"),
        pytest.param(
            f"{BEGINS}; echo 'Kernel panic - not syncing: IO-APIC + timer does not work'",
            "panics: IO-APIC",
            id="panics",
        ),
        pytest.param(f"{BEGINS}; yes {'x' * 4000}", "prints without end", id="prints"),
        pytest.param(f"printf '\\033[2Jodd\\n'; {HANGS}", "\\x1b[2Jodd", id="says what a terminal obeys"),
    ],
)  # fmt: skip
def test_a_kernel_that_does_not_come_so_far(qemu: FakeQemu, kernel: Path, does: str, why: str) -> None:
    qemu.does(does)
    found = boots(Accelerator.KVM, kernel, 1, BRIEF if HANGS in does else PATIENT)
    assert not found.works and why in found.detail and gone(qemu.starts()[0])


def test_a_confinement_that_fails_says_nothing_of_kvm(
    qemu: FakeQemu, kernel: Path, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verdict is kept until this host starts anew; this one would be a false one."""
    qemu.does(LIVES)
    monkeypatch.setattr(confinement, "_weak", False)
    with pytest.raises(NotStarted, match="could not be confined"):
        accelerator.verdict(kernel, 1)
    assert qemu.starts() == []
    monkeypatch.setattr(confinement, "_weak", True)
    assert accelerator.verdict(kernel, 1).works


def test_a_trial_needs_a_kernel(qemu: FakeQemu, tmp_path: Path) -> None:
    qemu.does(LIVES)
    with pytest.raises(NotFound, match="No such file"):
        boots(Accelerator.KVM, tmp_path / "none", 1, BRIEF)
    assert qemu.starts() == []
