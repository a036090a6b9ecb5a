"""A master as a disk for hosts that only know disks: what lies on it and where."""

from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.masters import disk, efi
from skinnybox.model import Master
from skinnybox.sizes import KIB, MIB
from tests.samples import a_master, a_sealed_folder, an_image

pytestmark = pytest.mark.image
TREE = b"tree" * (300 * KIB) + b"\0" * MIB + b"end"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    if efi.missing():
        pytest.skip(f"not installed: {' '.join(efi.missing())}")
    return a_sealed_folder(tmp_path / "sealed", kernel=b"kernel" * 9999, initrd=b"initrd" * 9999, image=TREE)


@pytest.fixture
def master() -> Master:
    return a_master(images=(an_image(TREE),))


def test_firmware_and_guest_find_their_parts(sealed: Path, master: Master, tmp_path: Path) -> None:
    made = tmp_path / "master.img"
    disk.make(made, master, master.images[0], sealed)
    assert b"No problems found" in run.run(["sgdisk", "--verify", made]).stdout
    shown = run.run(["sgdisk", "--info=2", made]).stdout.decode()
    assert str(master.images[0].uuid).upper() in shown and f"'{disk.IMAGE_NAME}'" in shown
    first = int(shown.split("First sector: ")[1].split()[0]) * efi.SECTOR
    with made.open("rb") as file:
        file.seek(first)
        assert file.read(len(TREE)) == TREE
    listed = run.run(["mdir", "-b", "-i", f"{made}@@{efi.ALIGNMENT}", "::/EFI/BOOT"]).stdout.decode()
    assert efi.BOOT_FILE in listed
    program = tmp_path / "program"
    run.run(["mcopy", "-i", f"{made}@@{efi.ALIGNMENT}", f"::/{efi.BOOT_FILE}", program])
    content = program.read_bytes()
    assert b"kernel" * 9999 in content and b"initrd" * 9999 in content
    assert disk.COMMAND_LINE.encode() in content
    assert made.stat().st_blocks * 512 < made.stat().st_size


def test_nothing_stays_half_made(sealed: Path, master: Master, tmp_path: Path) -> None:
    (sealed / "root.erofs").unlink()
    with pytest.raises(FileNotFoundError):
        disk.make(tmp_path / "master.img", master, master.images[0], sealed)
    assert [path.name for path in tmp_path.iterdir()] == ["sealed"]
