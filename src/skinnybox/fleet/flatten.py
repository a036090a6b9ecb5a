"""The way out: a machine as a whole ordinary disk that boots by itself and knows nothing of Skinnybox."""

import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from skinnybox import private, run
from skinnybox.appliance.appliance import Appliance, Disk, operate, scratch_file
from skinnybox.delta import data_owners
from skinnybox.emulation.user import user_of
from skinnybox.errors import Corrupt, GuestFailed, UsageError
from skinnybox.fleet import power
from skinnybox.fleet.output_file import handed_out
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.layout import LAYERS
from skinnybox.masters import catalogue, efi
from skinnybox.masters.efi import Partition
from skinnybox.masters.guest_part import guest_folder
from skinnybox.masters.layers.catalogue import layers_of
from skinnybox.masters.workspace import at_work
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Acceleration, DiskKind, Master
from skinnybox.operation import Operation
from skinnybox.overlays import space
from skinnybox.overlays.inspect import is_clean
from skinnybox.overlays.journal import replay, replayed
from skinnybox.sizes import GIB, KIB, MIB, format_size

FORMATS = ("raw", "qcow2")
_PARTS = ("begin", "ordinary", "data", "inits")
_MOST_INITRD = 64 * MIB
_BLOCK = 512
_MINUTES = 15
_BYTES_PER_SECOND = 2 * MIB
_COMMAND_LINE = "boot=ordinary ro quiet console=tty0 console=ttyS0"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatDisk:
    """`size` of the whole disk in bytes; None: what it holds, and some room."""

    file: Path
    format: str = "raw"
    size: int | None = None


def flatten(
    host: Host,
    machine: MachineView,
    master: Master,
    sealed: Path,
    wanted: FlatDisk,
    scratch: Path,
    operation: Operation,
    accelerator: Acceleration = Acceleration.AUTO,
) -> Path:
    """Make the disk. It appears under its name when it is whole. Conflict when the name is taken; a running
    machine is taken as a power cut would leave it. Blocks for minutes."""
    efi.require_programs()
    with ExitStack() as files:
        part = files.enter_context(handed_out(wanted.file))
        folder = Path(
            files.enter_context(tempfile.TemporaryDirectory(dir=scratch, prefix=".flat-", suffix=".new"))
        )
        files.enter_context(at_work(folder))
        overlay = files.enter_context(_disk(host, machine, DiskKind.OVERLAY, folder, operation))
        data = None
        if machine.instance.data is not None:
            data = files.enter_context(_disk(host, machine, DiskKind.DATA, folder, operation))
            data_owners.refuse(machine.name, overlay, data, machine.instance.stack.images)
        layers, size = files.enter_context(_layers(sealed.parents[1] / LAYERS, machine))
        making = _Flattening(
            machine=machine,
            master=master,
            layers=layers,
            used=master.tree_size + size,
            sealed=sealed,
            folder=folder,
            data=data,
            operation=operation,
            accelerator=accelerator,
        )
        making.disk(part, overlay, wanted.size)
        operation.step(task="write", detail=str(wanted.file))
        _convert(part, wanted.format, operation)
    return wanted.file


@contextmanager
def _layers(store: Path, machine: MachineView) -> Iterator[tuple[tuple[Path, ...], int]]:
    """The images of its layers, from the lowest up, which nobody removes meanwhile; bytes of their trees."""
    with catalogue.locked(store, exclusive=False):
        found = list(layers_of(store, machine.instance.stack))
        images = tuple(catalogue.folder(store, layer) / image.file for layer, image in found)
        yield images, sum(layer.tree_size for layer, _ in found)


@contextmanager
def _disk(
    host: Host, machine: MachineView, kind: DiskKind, folder: Path, operation: Operation
) -> Iterator[Path]:
    """A clean image that nobody writes to."""
    if not power.running(machine):
        with host.open_overlay(machine.instance, operation, kind) as disk, replayed(disk) as image:
            yield image
        return
    copy = folder / f"{kind}.img"
    host.copy_overlay(machine.instance, copy, operation, kind)
    if not is_clean(copy):
        replay(copy)
    yield copy


def _convert(part: Path, wanted: str, operation: Operation) -> None:
    if wanted == "raw":
        return
    converted = part.with_name(f"{part.name}.{wanted}")
    private.create(converted).close()  # qemu-img would have it readable to all
    try:
        run.run(["qemu-img", "convert", "-f", "raw", "-O", wanted, part, converted], attend=operation.check)
        converted.replace(part)
    finally:
        converted.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flattening:
    """One disk in the making, with what is on the data disk in its place; `folder` is private and goes.
    `layers` are images, from the lowest up; `used` is what the files of its stack take."""

    machine: MachineView
    master: Master
    layers: tuple[Path, ...]
    used: int
    sealed: Path
    folder: Path
    data: Path | None
    operation: Operation
    accelerator: Acceleration

    def disk(self, target: Path, overlay: Path, size: int | None) -> None:
        own = (overlay,) if self.data is None else (overlay, self.data)
        used = self.used + sum(disk.stat().st_blocks * _BLOCK for disk in own)
        files = (self.sealed / KERNEL_FILE, self.sealed / INITRD_FILE)
        boot = efi.esp_size(*files)
        root = _root_size(size, boot, used)
        partitions = self._partitions(boot, root)
        start = efi.offsets(partitions)
        efi.make_table(target, self._id("disk"), partitions)
        _make_root(target, start[1], root, self._id("root"), self.folder)
        with scratch_file(self.folder, _MOST_INITRD) as handed:
            self._fill(target, start[1], root, overlay, handed, used)
            initrd = self.folder / "initrd"
            initrd.write_bytes(_aligned((self.sealed / INITRD_FILE).read_bytes()) + _taken(handed))
        self._boot(target, start[0], boot, initrd)

    def _partitions(self, boot: int, root: int) -> tuple[Partition, ...]:
        return (
            Partition(name="esp", kind=efi.ESP_TYPE, uuid=self._id("esp"), size=boot),
            Partition(name="root", kind=efi.ROOT_TYPE, uuid=self._id("root-partition"), size=root),
        )

    def _id(self, what: str) -> UUID:
        """Another for every disk made."""
        return uuid.uuid5(self.machine.instance.uuid, f"{what}/{self.folder.name}")

    def _fill(self, target: Path, start: int, size: int, overlay: Path, handed: Path, used: int) -> None:
        image = self.master.image(self.machine.instance.stack.images[0])
        if image is None:
            raise Corrupt(f"{self.master.reference} has not the image that {self.machine.name} boots from")
        programs = guest_folder() / "appliance"
        appliance = Appliance(
            kernel=self.sealed / KERNEL_FILE,
            initrd=self.sealed / INITRD_FILE,
            program=(programs / "flatten").read_bytes(),
            files={"folders": self._folders(), **{name: (programs / name).read_bytes() for name in _PARTS}},
            words=f"flatten.root={self._id('root')} flatten.esp={self._id('esp')} "
            f"flatten.kernel={self.master.kernel_version} flatten.layers={len(self.layers)}",
            disks=(
                Disk(serial="skinny-master", file=self.sealed / image.file),
                *(Disk(serial=f"skinny-layer-{n}", file=file) for n, file in enumerate(self.layers, 1)),
                Disk(serial="skinny-overlay", file=overlay),
                Disk(serial="skinny-target", file=target, writable=True, offset=start, size=size),
                Disk(serial="skinny-initrd", file=handed, writable=True),
                *([] if self.data is None else [Disk(serial="skinny-data", file=self.data)]),
            ),
            user=user_of(self.machine.instance),
            seconds=60 * _MINUTES + used / _BYTES_PER_SECOND,
            accelerator=self.accelerator,
        )
        operate(appliance, "flatten", self._heard(used), self.folder)

    def _folders(self) -> bytes:
        """Of the data disk, one a line: too many for a kernel's command line."""
        data = self.machine.instance.data
        return "".join(f"{folder}\n" for folder in (data.folders if data else ())).encode()

    def _heard(self, used: int) -> Callable[[str], None]:
        def heard(said: str) -> None:
            found = re.fullmatch(r"kib ([0-9]{1,15})", said)
            if found:
                done = min(int(found[1]) * KIB, used)
                self.operation.step(task="copy", done=done, total=used, unit="bytes")

        return heard

    def _boot(self, target: Path, start: int, size: int, initrd: Path) -> None:
        """The ESP with its only file, put where the table says."""
        kernel, esp = self.folder / "linux.efi", self.folder / "esp"
        efi.unified_kernel(
            kernel,
            kernel=self.sealed / KERNEL_FILE,
            initrd=initrd,
            command_line=f"root=UUID={self._id('root')} {_COMMAND_LINE}",
        )
        efi.make_esp(esp, size, self._id("serial").int, {efi.BOOT_FILE: kernel})
        with esp.open("rb") as source, target.open("r+b") as disk:
            for first, last in space.data_ranges(source.fileno()):
                for offset in range(first, last, MIB):
                    disk.seek(start + offset)
                    disk.write(os.pread(source.fileno(), min(MIB, last - offset), offset))


def _root_size(size: int | None, boot: int, used: int) -> int:
    """A quarter more than it holds and a GiB to live in, in whole MiB."""
    taken = boot + 2 * efi.ALIGNMENT
    least = -(-(used + used // 10) // MIB) * MIB + 128 * MIB
    if size is None:
        return least + -(-used // 8 // MIB) * MIB + GIB
    if size - taken < least:
        raise UsageError(
            f"a disk of {format_size(size)} is too small for it",
            hint=f"at least {format_size(least + taken)}",
        )
    return (size - taken) // MIB * MIB


def _make_root(target: Path, start: int, size: int, identity: UUID, folder: Path) -> None:
    """An empty ext4 filesystem in its place on the disk."""
    words = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-U", str(identity), "-E"]
    run.run([*words, f"offset={start},lazy_itable_init=1,nodiscard", target, f"{size // KIB}k"], cwd=folder)


def _aligned(archive: bytes) -> bytes:
    """The kernel looks for the next archive at a multiple of four bytes."""
    return archive + bytes(-len(archive) % 4)


def _taken(handed: Path) -> bytes:
    """What the small machine made: bytes for the disk it is on, never looked into here."""
    with handed.open("rb") as source:
        found = re.match(rb"skinnybox-initrd ([0-9]{1,10})\n", source.read(_BLOCK))
        length = int(found[1]) if found else 0
        if not 0 < length <= _MOST_INITRD - _BLOCK:
            raise GuestFailed("the small machine handed over no initramfs")
        return source.read(length)
