"""A machine from a disk image: what somebody had as a disk boots thin, with all that was on it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import MIB

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an image needs root")

# $1 sealed image, $2 mount point, $3 disk: the tree with what a disk has besides, as a volume
MAKE = """
mount -t tmpfs none "$2"
cd "$2"
mkdir lower upper work tree
mount -t erofs -o loop,ro "$1" lower
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay tree
printf 'UUID=0-0 / ext4 defaults 0 1\\nUUID=0-1 /boot/efi vfat defaults 0 1\\n' >tree/etc/fstab
echo imported >tree/srv/one
ln tree/srv/one tree/srv/two
mkfifo tree/srv/fifo
cp tree/bin/true tree/srv/capable
setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 tree/srv/capable
chown 1234:5678 tree/srv/one
mke2fs -q -F -t ext4 -L golden -d tree "$3" 1500M
"""


@pytest.fixture
def disk(fleet: Fleet, master: str, tmp_path: Path) -> Iterator[Path]:
    """A qcow2 image with the tests' Debian on it."""
    raw, found, mount = tmp_path / "golden.raw", tmp_path / "golden.qcow2", tmp_path / "mount"
    mount.mkdir()
    sealed = fleet.masters.folder(fleet.masters.find(master)) / "root.erofs"
    try:
        run.run(["unshare", "-m", "sh", "-euc", MAKE, "sh", sealed, mount, raw])
    except CommandFailed as error:
        if "unknown filesystem type" in error.stderr:
            pytest.skip("this kernel cannot mount EROFS, to make a disk of a master")
        raise
    run.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, found])
    raw.unlink()
    yield found
    found.unlink()


def test_a_disk_image_boots_thin(
    fleet: Fleet, disk: Path, up: Callable[[str], MachineView], sh: Callable[[str, str], str]
) -> None:
    for old in fleet.masters.all():
        if old.name == "from-disk":
            fleet.masters.remove(old.reference)
    fleet.masters.import_tree(disk, "from-disk:1", as_is=False)
    overlay = Overlay(size=64 * MIB, allocation=Allocation.SPARSE)
    fleet.create(["imported"], "from-disk:1", Specification(overlay=overlay, memory=512 * MIB, cpus=1))
    try:
        machine = up("imported")
        assert machine.current_report is not None
        assert sh("imported", "stat -c '%h %u:%g %F' /srv/one /srv/fifo").splitlines() == [
            "2 1234:5678 regular file",
            "1 0:0 fifo",
        ]
        assert "capability=0x01000002" in sh("imported", "getfattr -e hex -d -m - /srv/capable 2>/dev/null")
        assert sh("imported", "cat /etc/fstab; systemctl is-system-running --wait || :").strip() in (
            "running",
            "degraded",
        )
    finally:
        fleet.delete(["imported"], force=True)
        fleet.masters.remove("from-disk:1")
