"""Machines that map their master from the host's memory: alike in all they do, and unable to change it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import GuestFailed
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.hosts.qemu import command_line, launch
from skinnybox.model import Image
from tests.boot.conftest import Create
from tests.pace import within

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

# By every way to that memory that root of a guest has. Each may fail or pretend to work; none may reach it.
ATTACK = """
set +e
exec 2>/dev/null
disk=/dev/pmem0
test -b $disk || exit 9
mount -t erofs -o ro,dax=always $disk /media/root-ro
mount -o remount,rw /media/root-ro && touch /media/root-ro/owned
mount -o remount,bind,rw /media/root-ro && echo x >/media/root-ro/etc/issue
echo 0 >/sys/block/pmem0/ro
for region in /sys/bus/nd/devices/region*; do echo 0 >$region/read_only; done
blockdev --setrw $disk
dd if=/dev/zero of=$disk bs=4096 count=64 conv=fsync && echo "dd: done"
dd if=/dev/zero of=$disk bs=4096 count=64 seek=1000 oflag=direct
blkdiscard -f $disk
mkdir /mnt/again && mount -t erofs -o rw,dax=always $disk /mnt/again && touch /mnt/again/owned
umount -l /media/root-ro
mke2fs -F -q $disk
start=$(awk -F'[- ]' 'tolower($0) ~ /persistent|namespace/ { print $1; exit }' /proc/iomem)
dd if=/dev/zero of=/dev/mem bs=4096 count=64 seek=$((0x$start / 4096)) conv=notrunc
for file in /dev/mem:$((0x$start)) $disk:0; do
    perl -e '($name, $at) = split /:/, shift; open M, "+<", $name; open Z, "<", "/dev/zero";
        $mapped = syscall 9, 0, 65536, 3, 1, fileno M, $at + 0;
        print "mmap $name: ", syscall(0, fileno Z, $mapped, 65536), "\\n"' $file
done
sync
echo 3 >/proc/sys/vm/drop_caches
exit 0
"""
SEES = """
echo 3 >/proc/sys/vm/drop_caches
skinnybox-guest look sh -c "cd /media/root-ro; find etc usr/bin usr/sbin -type f | sort | xargs sha256sum"
"""


def _image(fleet: Fleet, machine: MachineView) -> tuple[Path, Image]:
    master = fleet.masters.by_id(machine.instance.stack.master)
    image = master.image(machine.instance.stack.images[0])
    assert image is not None
    return fleet.masters.folder(master) / image.file, image


@pytest.mark.full
def test_a_mapped_machine(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, monkeypatch: pytest.MonkeyPatch
) -> None:
    create("mapped", dax=True)
    create("sibling", dax=True)
    outcomes = fleet.start(["mapped", "sibling"], parallel=2)
    assert [outcome.error for outcome in outcomes] == [None, None]
    machine = fleet.machine("mapped")
    assert machine.condition is Condition.READY
    assert machine.current_report is not None and machine.current_report.dax is True
    assert machine.status is not None
    # Not by its path: QEMU has another root, where the image is called otherwise.
    inode = str(_image(fleet, machine)[0].stat().st_ino)
    mapped = [words[1] for line in _maps(machine.status.pid) if (words := line.split())[4] == inode]
    assert mapped and set(mapped) == {"r--s"}
    assert "dax=always" in sh("mapped", "skinnybox-guest look grep ' /media/root-ro ' /proc/mounts")
    assert "mapped from the host's memory" in sh("mapped", "skinnybox-guest status")
    assert "swiotlb=noforce" in sh("mapped", "cat /proc/cmdline")

    sh("mapped", "echo hi >/srv/added; echo more >>/etc/debian_version; rm /etc/issue.net; sync")
    _cannot_write_to_its_master(fleet, machine, sh)
    fleet.kill(["sibling", "mapped"])
    with fleet.overlays.changes("mapped") as found:
        kinds = {change.path: str(change.kind) for change in found}
    assert kinds[b"srv/added"] == "added"
    assert kinds[b"etc/debian_version"] == "modified"
    assert kinds[b"etc/issue.net"] == "deleted"

    assert fleet.overlays.reset(["mapped"])[0].error is None
    with fleet.overlays.changes("mapped") as found:
        assert list(found) == []
    _a_disk_in_its_place_is_told(fleet, monkeypatch)


def _maps(pid: int | None) -> list[str]:
    return Path(f"/proc/{pid}/maps").read_text().splitlines()


def _cannot_write_to_its_master(fleet: Fleet, machine: MachineView, sh: Sh) -> None:
    path, image = _image(fleet, machine)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    seen = sh("sibling", SEES)
    assert len(seen.splitlines()) > 500
    assert "dd: done" in sh("mapped", ATTACK)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert sh("sibling", SEES) == seen
    assert path.stat().st_size == image.size
    fleet.masters.verify(machine.instance.stack.reference)


def _a_disk_in_its_place_is_told(fleet: Fleet, patch: pytest.MonkeyPatch) -> None:
    """Stands for a kernel that turns DAX off without a word: the right image, read through the page cache."""
    patch.setattr(launch, "argv", _as_a_disk)
    outcome = fleet.start(["mapped"], timeout=within(240))[0]
    assert isinstance(outcome.error, GuestFailed)
    found = fleet.machine("mapped")
    assert found.condition is Condition.MISMATCH
    assert found.reason and "DAX" in found.reason
    assert found.current_report is not None and found.current_report.seed_generation == 2


def _as_a_disk(machine: command_line.Machine) -> list[str]:
    words = command_line.argv(machine)
    for option in ("memory-backend-file", "virtio-pmem-pci"):
        at = next(number for number, word in enumerate(words) if word.startswith(option))
        words[at - 1 : at + 1] = []
    return [*words, *command_line._image_disk(0, machine.descriptors.images[0])]
