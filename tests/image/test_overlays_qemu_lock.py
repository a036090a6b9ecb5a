"""Our locks against QEMU's own."""

import os
import time
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed, Conflict
from skinnybox.overlays.lock import acquire, against_qemu, exclusive

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(run.find("qemu-io") is None, reason="qemu-io is not installed"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    disk = tmp_path / "overlay.img"
    disk.write_bytes(bytes(1 << 20))
    return disk


def write_by_hand(disk: Path) -> bytes:
    return run.run(["qemu-io", "-f", "raw", "-c", "write -P 1 0 512", disk]).stdout


def test_qemu_is_kept_out(disk: Path) -> None:
    assert b"wrote" in write_by_hand(disk)
    with exclusive(disk):
        with pytest.raises(CommandFailed, match="another process"):
            write_by_hand(disk)
        with pytest.raises(CommandFailed, match="another process"):
            run.run(["qemu-io", "-r", "-f", "raw", "-c", "read 0 512", disk])
    assert b"wrote" in write_by_hand(disk)


def test_qemu_that_has_it_open_keeps_us_out(disk: Path) -> None:
    with run.start(["qemu-io", "-f", "raw", "-c", "sleep 60000", disk]):
        _wait_until_locked(disk)
        with pytest.raises(Conflict, match="QEMU that Skinnybox did not start"), exclusive(disk):
            pass
    with exclusive(disk):
        pass


def test_a_machine_of_ours_holds_only_the_private_byte(disk: Path) -> None:
    descriptor = acquire(disk)
    assert b"wrote" in write_by_hand(disk)
    os.close(descriptor)


def _wait_until_locked(disk: Path) -> None:
    for _ in range(1200):
        descriptor = acquire(disk)
        try:
            against_qemu(descriptor, disk)
        except Conflict:
            return
        finally:
            os.close(descriptor)
        time.sleep(0.05)
    pytest.fail("qemu-io never opened the disk")
