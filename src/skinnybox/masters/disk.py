"""A master as a disk that firmware boots and no guest writes: for hosts that cannot hand over a kernel.

A GPT with two partitions: an EFI system partition that holds kernel, initrd and command line as one program,
and the image as it was sealed. Made without root, mounts and loop devices.
"""

import tempfile
import uuid
from pathlib import Path
from uuid import UUID

from skinnybox import private
from skinnybox.errors import Unsupported
from skinnybox.masters import efi
from skinnybox.masters.efi import Partition
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Image, Master
from skinnybox.sizes import MIB

COMMAND_LINE = "boot=skinnybox console=tty0 console=ttyS0 ro quiet panic=-1"
"""Nothing in it is of one machine: those are told by xenstore or fw_cfg."""

IMAGE_TYPE = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
"""Plain Linux data: nothing that finds partitions by type may take it for its own."""
IMAGE_NAME = "skinny-master"
FIRST_PROTOCOL = 2
"""Guest parts of before know a kernel's command line only, and this one is the same for all machines."""


def image_of(master: Master) -> Image:
    """The one to put on a disk, which is read, not mapped."""
    return master.disk or master.images[0]


def make(target: Path, master: Master, image: Image, folder: Path) -> None:
    """At `target`, a new file; from the sealed master's `folder`. The image's partition has the image's own
    UUID (PARTUUID). Unsupported, naming packages, when programs are missing; nothing stays when it fails."""
    if master.guest_protocol < FIRST_PROTOCOL:
        raise Unsupported(
            f"the guest part of {master.reference} is too old to boot from a disk",
            hint="build or import the master again",
        )
    efi.require_programs()
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".disk-", suffix=".new") as work:
            _make(target, master, image, folder, Path(work))
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _make(target: Path, master: Master, image: Image, folder: Path, work: Path) -> None:
    kernel, initrd, tree = folder / KERNEL_FILE, folder / INITRD_FILE, folder / image.file
    program, esp = work / "linux.efi", work / "esp"
    efi.unified_kernel(program, kernel=kernel, initrd=initrd, command_line=COMMAND_LINE)
    boot = efi.esp_size(kernel, initrd)
    efi.make_esp(esp, boot, _id(image, "serial").int, {efi.BOOT_FILE: program})
    partitions = [
        Partition(name="esp", kind=efi.ESP_TYPE, uuid=_id(image, "esp"), size=boot),
        Partition(
            name=IMAGE_NAME, kind=IMAGE_TYPE, uuid=image.uuid, size=-(-tree.stat().st_size // MIB) * MIB
        ),
    ]
    private.create(target).close()
    efi.make_table(target, _id(image, "disk"), partitions)
    for file, start in zip((esp, tree), efi.offsets(partitions), strict=False):
        _put(file, target, start)


def _put(file: Path, disk: Path, start: int) -> None:
    with file.open("rb") as source, disk.open("r+b") as target:
        target.seek(start)
        while piece := source.read(MIB):
            if piece.count(0) == len(piece):
                target.seek(len(piece), 1)
            else:
                target.write(piece)


def _id(image: Image, what: str) -> UUID:
    return uuid.uuid5(image.uuid, what)
