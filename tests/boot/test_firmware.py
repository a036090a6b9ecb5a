"""A master as a disk that firmware boots, read-only, under plain QEMU; another one tells it who it is."""

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.hosts.guest_io import reports
from skinnybox.masters import disk, efi
from skinnybox.model import Instance, Report
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.seed import told_disk
from skinnybox.sizes import MIB
from tests.boot.conftest import Create
from tests.emulators.xapi import qemu_words
from tests.emulators.xapi.machine import Machine as Running
from tests.emulators.xapi.qemu_words import Board, Drive
from tests.pace import within

NONCE = uuid.uuid4().hex
SECONDS = 240.0


@pytest.fixture(scope="module")
def master_disk(fleet: Fleet, master: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if efi.missing() or not qemu_words.FIRMWARE.exists():
        pytest.skip(f"needs ovmf and {' '.join(efi.missing())}")
    sealed = fleet.masters.find(master)
    target = tmp_path_factory.mktemp("disk") / "master.img"
    disk.make(target, sealed, disk.image_of(sealed), fleet.masters.folder(sealed))
    return target


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class Guest:
    """One machine on firmware; `reports` are those it sent, `ended` is set when it is off."""

    def __init__(self, instance: Instance, folder: Path, *drives: Path) -> None:
        (folder / qemu_words.STORE).write_bytes(qemu_words.FIRMWARE_STORE.read_bytes())
        self.console = folder / qemu_words.CONSOLE
        board = Board(
            name=instance.name, uuid=str(instance.uuid), memory=512 * MIB, cpus=1, uefi=True, paused=False,
            drives=tuple(
                Drive(place=place, file=file, read_only=place != 1, is_cd=False)
                for place, file in enumerate(drives)
            ),
            cards=(), seed={}, folder=folder,
        )  # fmt: skip
        self._instance = instance
        self.reports: list[Report] = []
        self.spoke, self.ended = threading.Event(), threading.Event()
        self.machine = Running(board, folder / "log", self._heard, lambda reason: self.ended.set())

    def _heard(self, text: str) -> None:
        self.reports.append(reports.parse(text.encode(), self._instance.uuid, NONCE, datetime.now(UTC)))
        self.spoke.set()

    def report(self) -> Report:
        assert self.spoke.wait(within(SECONDS)), self.console.read_text(errors="replace")[-3000:]
        return self.reports[-1]


Boot = Callable[[Instance, Path, bytes], Guest]


@pytest.fixture
def boot(tmp_path: Path, master_disk: Path) -> Iterator[Boot]:
    started: list[Guest] = []

    def start(instance: Instance, overlay: Path, told: bytes) -> Guest:
        word = tmp_path / "told.img"
        word.write_bytes(told)
        guest = Guest(instance, tmp_path, master_disk, overlay, word)
        started.append(guest)
        assert guest.machine.start()
        return guest

    yield start
    for guest in started:
        guest.machine.kill()
        guest.machine.join()


def test_a_machine_on_firmware_and_a_read_only_disk(
    fleet: Fleet, create: Create, master_disk: Path, boot: Boot, tmp_path: Path
) -> None:
    """The overlay was made here with the first seed; the disk tells a newer one: it is applied and kept."""
    instance = create("firmware").instance
    told = replace(instance, seed=replace(instance.seed, generation=2, hostname="told"))
    before = digest(master_disk)
    overlay = tmp_path / "overlay.img"
    fleet._host.copy_overlay(instance, overlay, Operation())
    word = told_disk(told, master="xvda", overlay="xvdb", nonce=NONCE)
    guest = boot(told, overlay, word)
    report = guest.report()
    assert report.ready, report.reason
    assert report.images == (disk.image_of(fleet.masters.find(instance.stack.reference)).uuid,)
    assert (report.seed_generation, report.instance, report.nonce) == (2, instance.uuid, NONCE)
    guest.machine.tell("system_powerdown")
    assert guest.ended.wait(within(SECONDS)), guest.console.read_text(errors="replace")[-3000:]
    assert inspect.read_generation(overlay) == 2
    assert digest(master_disk) == before


@pytest.mark.full
def test_a_disk_that_tells_of_another_machine(create: Create, boot: Boot, tmp_path: Path) -> None:
    """It cannot lead a machine to an overlay that is not its own; not even a blank one is touched."""
    instance = create("firmware").instance
    other = replace(instance, uuid=uuid.UUID(int=7))
    overlay = tmp_path / "overlay.img"
    with overlay.open("wb") as file:
        file.truncate(64 * MIB)
    word = told_disk(other, master="xvda", overlay="xvdb", nonce=NONCE)
    guest = boot(other, overlay, word)
    report = guest.report()
    assert not report.ready and "is blank, and the host gave no order" in (report.reason or "")
    assert guest.ended.wait(within(SECONDS))
    assert not any(overlay.read_bytes())
