"""A machine's overlay and a QEMU started by hand keep each other out, in both directions."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox.errors import Conflict
from skinnybox.hosts.base import Contents
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Instance, Master
from skinnybox.operation import Operation
from tests.pace import within

pytestmark = pytest.mark.boot

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
BARE = ("qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35", "-S", "-qmp", "stdio")
SECONDS = 60.0


@pytest.fixture
def overlay(qemu: QemuHost, new: New, contents_of: ContentsOf, state: Path) -> Path:
    instance = new()
    qemu.create_overlay(instance, contents_of(instance), Operation())
    qemu.define(instance)
    return state / "instances" / str(instance.uuid) / "overlay.img"


def machine(overlay: Path) -> list[str]:
    disk = f"driver=file,filename={overlay},node-name=by-hand"
    return [*BARE, "-blockdev", disk, "-device", "virtio-blk-pci,drive=by-hand"]


def refused(overlay: Path) -> bool:
    """Whether a QEMU and its tools, started by hand, fail to open it, to read as well as to write."""
    programs: list[list[str]] = [
        machine(overlay),
        ["qemu-img", "resize", "-f", "raw", str(overlay), "+1M"],
        ["qemu-io", "-f", "raw", "-c", "write 0 512", str(overlay)],
        ["qemu-io", "-r", "-f", "raw", "-c", "read 0 512", str(overlay)],
    ]
    leave = b'{"execute": "qmp_capabilities"} {"execute": "quit"}'
    said = [
        subprocess.run(words, input=leave, capture_output=True, timeout=within(SECONDS), check=False).stderr
        for words in programs
    ]
    assert len({b"lock" in text for text in said}) == 1, said
    return b"lock" in said[0]


@contextmanager
def by_hand(overlay: Path) -> Iterator[None]:
    """A QEMU that has it open to be written."""
    with subprocess.Popen(machine(overlay), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None and child.stdin is not None
            child.stdin.write(b'{"execute": "qmp_capabilities"}\n')
            child.stdin.flush()
            assert b"QMP" in child.stdout.readline()
            assert b"return" in child.stdout.readline()  # it takes commands when its disks are open
            yield
        finally:
            child.kill()


def test_a_running_machine_keeps_others_out(
    qemu: QemuHost, overlay: Path, master: Master, tiny_guest: Path, contents_of: ContentsOf
) -> None:
    instance = next(iter(qemu.records()))
    qemu.start(instance, master, tiny_guest, Operation())
    assert refused(overlay)
    qemu.power_off(instance)
    _until(lambda: not refused_to_read(overlay))
    inode = overlay.stat().st_ino
    qemu.replace_overlay(instance, contents_of(instance), Operation())
    assert overlay.stat().st_ino != inode
    qemu.start(instance, master, tiny_guest, Operation())
    assert refused(overlay)
    qemu.power_off(instance)


def refused_to_read(overlay: Path) -> bool:
    words = ["qemu-io", "-r", "-f", "raw", "-c", "read 0 512", str(overlay)]
    return subprocess.run(words, capture_output=True, timeout=within(SECONDS), check=False).returncode != 0


def test_an_overlay_that_is_worked_on_keeps_others_out(qemu: QemuHost, overlay: Path) -> None:
    instance = next(iter(qemu.records()))
    assert not refused_to_read(overlay)
    with qemu.open_overlay(instance, Operation()):
        assert refused(overlay)
    qemu.rebuild_overlay(instance, instance.overlay.size, lambda old, new: _expect(refused(old)), Operation())


def _expect(holds: bool) -> None:
    assert holds


def test_a_qemu_by_hand_keeps_everything_of_ours_out(
    qemu: QemuHost, overlay: Path, master: Master, tiny_guest: Path, contents_of: ContentsOf, tmp_path: Path
) -> None:
    instance = next(iter(qemu.records()))
    qemu.replace_overlay(instance, contents_of(instance), Operation())
    deeds: dict[str, Callable[[], object]] = {
        "start": lambda: qemu.start(instance, master, tiny_guest, Operation()),
        "replace": lambda: qemu.replace_overlay(instance, contents_of(instance), Operation()),
        "rebuild": lambda: qemu.rebuild_overlay(
            instance, instance.overlay.size, lambda old, new: None, Operation()
        ),
        "copy": lambda: qemu.copy_overlay(instance, tmp_path / "copy", Operation()),
        "snapshot": lambda: qemu.take_snapshot(instance, "one", Operation()),
        "delete": lambda: qemu.delete(instance),
        "open": lambda: qemu.open_overlay(instance, Operation()).__enter__(),
    }
    before = overlay.read_bytes()
    with by_hand(overlay):
        for name, deed in deeds.items():
            with pytest.raises(Conflict, match="QEMU that Skinnybox did not start"):
                deed()
                pytest.fail(f"{name} was not refused")
    assert overlay.read_bytes() == before
    assert qemu.statuses() == {}
    assert sorted(path.name for path in overlay.parent.iterdir()) == [
        "instance.json",
        "overlay.img",
        "snapshots",
    ]
    with qemu.open_overlay(instance, Operation()):
        pass


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + within(SECONDS)
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
