"""A QEMU and a KVM that do what the test says."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.emulation import accelerator, trial
from skinnybox.sandbox import confinement
from tests.unit.fake_qemu import PATIENT, FakeQemu


@pytest.fixture
def qemu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeQemu]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(confinement, "_weak", True)  # a script is not to be confined
        yield FakeQemu(folder)


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "kernel"
    path.write_bytes(b"a kernel")
    return path


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for /dev/kvm, open to all; and no verdict of an earlier day."""
    path = tmp_path / "kvm"
    path.touch()
    path.chmod(0o666)
    monkeypatch.setattr(accelerator, "_DEVICE", path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(trial, "PATIENCE", PATIENT)
    return path
