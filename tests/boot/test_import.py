"""A machine from a disk image: what somebody had as a disk boots thin, with all that was on it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed, Unsupported
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import MIB

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an image needs root")

# $1 sealed image, $2 mount point, $3 disk: the tree with what a disk has besides, and with filesystems of its
# own for /var and /srv
MAKE = """
mount -t tmpfs none "$2"
cd "$2"
mkdir lower upper work tree srv var
mount -t erofs -o loop,ro "$1" lower
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay tree
cat >tree/etc/fstab <<X
UUID=0-0 / ext4 defaults 0 1
UUID=0-1 /boot/efi vfat defaults 0 1
PARTLABEL=variable /var ext4 defaults 0 2
LABEL=service /srv ext4 nosuid,nodev 0 2
UUID=0-2 none swap sw 0 0
nas:/export /mnt nfs defaults 0 0
X
echo imported >srv/one
ln srv/one srv/two
mkfifo srv/fifo
cp tree/bin/true srv/capable
setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 srv/capable
chown 1234:5678 srv/one
cp -a tree/var/. var/
rm -rf tree/var/*
mke2fs -q -F -t ext4 -L golden -d tree "$3" 1500M
mke2fs -q -F -t ext4 -d var "$3.var" 300M
mke2fs -q -F -t ext3 -L service -d srv "$3.srv" 16M
truncate -s 1900M "$3.gpt"
sfdisk --quiet "$3.gpt" <<X
label: gpt
start=1MiB, size=1500MiB
start=1501MiB, size=300MiB, name=variable
start=1801MiB, size=16MiB
X
dd if="$3" of="$3.gpt" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$3.var" of="$3.gpt" bs=1M seek=1501 conv=notrunc,sparse status=none
dd if="$3.srv" of="$3.gpt" bs=1M seek=1801 conv=notrunc,sparse status=none
rm "$3.var" "$3.srv"
mv "$3.gpt" "$3"
"""


@pytest.fixture
def disk(fleet: Fleet, master: str, tmp_path: Path) -> Iterator[Path]:
    """A qcow2 image with the tests' Debian on it, its /var and /srv on partitions of their own."""
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
    with pytest.raises(Unsupported, match=r"/mnt: nas:/export \(nfs\) lies on another machine"):
        fleet.masters.import_tree(disk, "from-disk:1", as_is=False)
    master = fleet.masters.import_tree(disk, "from-disk:1", as_is=False, leave_out=["/mnt"])
    assert (master.placed, master.left_out) == (("/srv", "/var"), ("/mnt",))
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
        # Nothing waits for the disks of before, and what was mounted with care still is.
        assert sh("imported", "cat /etc/fstab") == "/srv /srv none bind,nosuid,nodev 0 0\n"
        options = sh("imported", "findmnt -n -o OPTIONS /srv").strip().split(",")
        assert {"rw", "nosuid", "nodev"} <= set(options)
        assert sh("imported", "systemctl is-active local-fs.target").strip() == "active"
        assert sh("imported", "dpkg-query -W -f '${Status}' systemd; touch /srv/new /var/new") == (
            "install ok installed"
        )
        assert sh("imported", "systemctl is-system-running --wait || :").strip() in ("running", "degraded")
    finally:
        fleet.delete(["imported"], force=True)
        fleet.masters.remove("from-disk:1")
