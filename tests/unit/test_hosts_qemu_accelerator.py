"""Whether KVM is used: what is kept of trials, and for what it holds."""

import os
import threading
from pathlib import Path

import pytest

from skinnybox.emulation import accelerator, verdicts
from skinnybox.emulation.board import Accelerator
from skinnybox.errors import Unsupported, UsageError
from skinnybox.fleet import settings
from skinnybox.hosts.qemu.doctor import checks
from skinnybox.model import Acceleration
from tests.unit.fake_qemu import ASSERTION, DIES, LIVES, FakeQemu


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other"
    path.write_bytes(b"another kernel")
    return path


def chosen(kernel: Path, cpus: int = 1) -> str:
    return accelerator.choose(Acceleration.AUTO, kernel, cpus).value


def test_what_works_is_tried_once_for_every_kernel_and_no_more_processors(
    device: Path, qemu: FakeQemu, kernel: Path, other: Path
) -> None:
    qemu.does(LIVES)
    assert [chosen(kernel, 2), chosen(kernel), chosen(other, 2), chosen(other)] == ["kvm"] * 4
    assert len(qemu.starts()) == 1
    assert chosen(kernel, 3) == "kvm" and len(qemu.starts()) == 2


def test_what_fails_is_tried_once_for_each_kernel_and_no_fewer_processors(
    device: Path, qemu: FakeQemu, kernel: Path, other: Path
) -> None:
    qemu.does(DIES)
    assert [chosen(kernel, 2), chosen(kernel, 2), chosen(kernel, 8)] == ["tcg"] * 3
    assert len(qemu.starts()) == 1
    assert chosen(kernel) == "tcg" and len(qemu.starts()) == 2
    qemu.does(LIVES)
    found = accelerator.summary(Acceleration.AUTO, Path("/nonexistent"))
    assert found is None  # another QEMU: what is known of the one before does not hold
    assert chosen(other) == "kvm"


def test_a_kernel_at_fault_itself_does_not_speak_for_others(
    device: Path, qemu: FakeQemu, kernel: Path, other: Path
) -> None:
    qemu.does('case "$(readlink /proc/$$/fd/*)" in *other*) ;; *) exit 0 ;; esac; ' + LIVES)
    assert [chosen(kernel), chosen(other), chosen(kernel)] == ["tcg", "kvm", "tcg"]
    assert len(qemu.starts()) == 2


def test_a_real_start_overrules_a_trial(device: Path, qemu: FakeQemu, kernel: Path, other: Path) -> None:
    qemu.does(LIVES)
    assert chosen(kernel) == "kvm" and not accelerator.is_proven(kernel, 1)
    accelerator.note(kernel, 1, works=True, detail="a runs")
    assert accelerator.is_proven(kernel, 1) and not accelerator.is_proven(kernel, 2)
    assert not accelerator.is_proven(other, 1)
    accelerator.note(kernel, 1, works=False, detail="a did nothing")
    assert [chosen(kernel), chosen(other, 2), chosen(kernel)] == ["tcg", "kvm", "tcg"]
    found = accelerator.summary(Acceleration.AUTO, Path("/nonexistent"))
    assert found is not None and found.detail == "a did nothing" and "probe-kvm.json" in str(found.hint)


def test_it_is_tried_again_when_the_right_to_the_device_changes(
    device: Path, qemu: FakeQemu, kernel: Path
) -> None:
    qemu.does(LIVES)
    assert chosen(kernel) == "kvm"
    device.chmod(0o606)
    assert chosen(kernel) == "kvm" and len(qemu.starts()) == 2


@pytest.mark.parametrize("damage", ["", "[]", '{"tried": [{"cpus": "x"}, 7]}'])
def test_what_is_kept_may_be_damaged(device: Path, qemu: FakeQemu, kernel: Path, damage: str) -> None:
    qemu.does(LIVES)
    chosen(kernel)
    path = verdicts.file_of("kvm")
    key = path.read_text().partition('"tried"')[0]
    path.write_text(key + damage[1:] if damage.startswith("{") else damage)
    assert chosen(kernel) == "kvm" and len(qemu.starts()) == 2


def test_of_many_that_start_one_tries(device: Path, qemu: FakeQemu, kernel: Path) -> None:
    qemu.does(f"sleep 0.2; {LIVES}")
    threads = [threading.Thread(target=chosen, args=(kernel,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(qemu.starts()) == 1


def test_without_the_device_or_a_right_to_it_nothing_is_tried(
    device: Path, qemu: FakeQemu, kernel: Path
) -> None:
    qemu.does(LIVES)
    device.chmod(0o600 if os.geteuid() == 0 else 0)
    shut = accelerator.verdict(kernel, 1)
    assert not shut.works and "may not be opened" in shut.detail and shut.hint
    device.unlink()
    assert not accelerator.verdict(kernel, 1).works
    assert qemu.starts() == []


def test_tcg_is_never_tried_and_kvm_never_replaced(device: Path, qemu: FakeQemu, kernel: Path) -> None:
    qemu.does(DIES)
    assert accelerator.choose(Acceleration.TCG, kernel, 1) is Accelerator.TCG
    assert qemu.starts() == []
    with pytest.raises(Unsupported, match="kvm_buf_set_msrs") as refused:
        accelerator.choose(Acceleration.KVM, kernel, 1)
    assert refused.value.hint


def check(wanted: Acceleration, state: Path) -> tuple[str, str]:
    found = next(one for one in checks(state, wanted) if one.name == "acceleration")
    return found.status, found.detail


def test_doctor_tries_a_kernel_it_finds_and_says_when_there_is_none(
    device: Path, qemu: FakeQemu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu.does(DIES)
    monkeypatch.setattr(accelerator, "_OWN", tmp_path / "boot")
    status, detail = check(Acceleration.AUTO, tmp_path)
    assert status == "note" and "was not tried" in detail
    status, detail = check(Acceleration.TCG, tmp_path)
    assert status == "note" and detail.startswith("accelerator = tcg is set: KVM is not tried")
    (tmp_path / "masters" / "abc").mkdir(parents=True)
    sealed = tmp_path / "masters" / "abc" / "kernel"
    sealed.write_bytes(b"sealed")
    sealed.chmod(0o444)
    status, detail = check(Acceleration.AUTO, tmp_path)
    assert status == "note" and ASSERTION in detail and "emulated" in detail
    status, detail = check(Acceleration.KVM, tmp_path)
    assert status == "fail" and "no machine starts" in detail
    qemu.does(LIVES)
    assert check(Acceleration.AUTO, tmp_path)[0] == "ok"


def test_the_setting_is_one_of_three(tmp_path: Path) -> None:
    around = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert settings.load(around, {}).accelerator is Acceleration.AUTO
    (tmp_path / "skinnybox").mkdir()
    (tmp_path / "skinnybox" / "config.toml").write_text('accelerator = "kvm"\n')
    assert settings.load(around, {}).accelerator is Acceleration.KVM
    around["SKINNYBOX_ACCELERATOR"] = "tcg"
    assert settings.load(around, {}).accelerator is Acceleration.TCG
    around["SKINNYBOX_ACCELERATOR"] = "fast"
    with pytest.raises(UsageError, match="accelerator is auto or kvm or tcg, not 'fast'"):
        settings.load(around, {})
