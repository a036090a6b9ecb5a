"""Disks that firmware boots: a unified kernel image, the EFI system partition it lies on, and the GPT around.

Made without root, mounts and loop devices. What stands beside the ESP is the caller's: the ext4 root of a
flattened machine, or a master's image.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from skinnybox import run
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.sizes import MIB

STUB = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
BOOT_FILE = "EFI/BOOT/BOOTX64.EFI"
"""What firmware boots from a disk that it knows nothing about."""

ESP_TYPE = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
ROOT_TYPE = UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
"""Of x86-64, in the Discoverable Partitions Specification."""

SECTOR = 512
ALIGNMENT = MIB
_PROGRAMS = {
    "objcopy": "binutils", "mkfs.vfat": "dosfstools", "mcopy": "mtools", "mmd": "mtools", "sgdisk": "gdisk",
}  # fmt: skip
_SECTION = struct.Struct("<8sII")
_HEADER_AT, _DATE, _CHECKSUM = 0x3C, 8, 24 + 64
_FIRST_DAY = {"SOURCE_DATE_EPOCH": "315532800"}
"""1980-01-01, where FAT's calendar begins."""
_LEAST_ESP = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """`size` in bytes, whole MiB; `uuid` is its own (PARTUUID)."""

    name: str
    kind: UUID
    uuid: UUID
    size: int


def missing() -> list[str]:
    """Debian packages that have to be installed first."""
    packages = {package for program, package in _PROGRAMS.items() if run.find(program) is None}
    return sorted(packages | (set() if STUB.exists() else {"systemd-boot-efi"}))


def require_programs() -> None:
    """Unsupported, naming the packages, when something is not installed."""
    packages = missing()
    if packages:
        raise Unsupported(
            "a disk that boots by itself cannot be made here: programs are missing",
            hint=f"sudo apt install {' '.join(packages)}",
        )


def unified_kernel(
    target: Path, *, kernel: Path, initrd: Path, command_line: str, os_release: bytes = b""
) -> None:
    """One EFI program of systemd's stub, kernel, initrd and command line, at `target`.

    The same bytes whenever it is made. Only adds the files as they are: none of them is parsed but the stub.
    """
    texts = {".osrel": os_release, ".cmdline": command_line.encode() + b"\0"}
    sections: list[tuple[str, Path]] = []
    for name, content in texts.items():
        file = target.with_name(f"{target.name}{name}")
        file.write_bytes(content)
        sections.append((name, file))
    sections += [(".linux", kernel), (".initrd", initrd)]
    words, address = ["objcopy"], _end(STUB.read_bytes())
    for name, file in sections:
        words += [f"--add-section={name}={file}", f"--change-section-vma={name}={address:#x}"]
        address += _aligned(file.stat().st_size, 0x10000)
    try:
        run.run([*words, STUB, target])
    finally:
        for name in texts:
            target.with_name(f"{target.name}{name}").unlink(missing_ok=True)
    _take_out_the_date(target)


def _take_out_the_date(program: Path) -> None:
    """objcopy notes when it ran, whatever one tells it, and its checksum is over that too.

    Zero in both says that nothing was noted. Firmware reads neither, and who signs it sums anew (PE/COFF,
    chapter 3).
    """
    with program.open("r+b") as file:
        file.seek(_HEADER_AT)
        header = struct.unpack("<I", file.read(4))[0]
        for field in (_DATE, _CHECKSUM):
            file.seek(header + field)
            file.write(bytes(4))


def _end(stub: bytes) -> int:
    """The first free address behind the stub's own sections, with its base (PE/COFF, chapters 3 and 4)."""
    header = struct.unpack_from("<I", stub, _HEADER_AT)[0]
    if stub[header : header + 4] != b"PE\0\0":
        raise Corrupt(f"{STUB} is no EFI program")
    count, optional = struct.unpack_from("<H12xH", stub, header + 6)
    base = struct.unpack_from("<Q", stub, header + 24 + 24)[0]
    ends = []
    for number in range(count):
        _, size, address = _SECTION.unpack_from(stub, header + 24 + optional + 40 * number)
        ends.append(address + size)
    return int(base) + _aligned(max(ends), 0x10000)


def esp_size(*files: Path) -> int:
    """Of an ESP that holds these, with room for as much again."""
    return max(_LEAST_ESP, _aligned(2 * sum(file.stat().st_size for file in files) + 4 * MIB, MIB))


def make_esp(target: Path, size: int, serial: int, files: dict[str, Path]) -> None:
    """A FAT filesystem in a new file of `size` bytes, with `files` by their path in it; without dates."""
    with target.open("xb") as file:
        file.truncate(size)
    run.run(["mkfs.vfat", "-F", "32", "-n", "ESP", "-i", f"{serial & 0xFFFFFFFF:08x}", "--invariant", target])
    for folder in sorted({parent for path in files for parent in Path(path).parents} - {Path()}):
        run.run(["mmd", "-i", target, f"::/{folder}"], env=_FIRST_DAY)
    for path, source in files.items():
        run.run(["mcopy", "-i", target, source, f"::/{path}"], env=_FIRST_DAY)


def offsets(partitions: Sequence[Partition]) -> list[int]:
    """Where each begins, in bytes; and, last, where the disk ends."""
    found = [ALIGNMENT]
    for partition in partitions:
        found.append(found[-1] + partition.size)
    return [*found[:-1], found[-1] + ALIGNMENT]


def make_table(disk: Path, identity: UUID, partitions: Sequence[Partition]) -> None:
    """Write a GPT on a file and give it its size; what is there already stays."""
    starts = offsets(partitions)
    os.truncate(disk, starts[-1])
    words = ["sgdisk", "--clear", f"--disk-guid={identity}"]
    for number, (partition, start) in enumerate(zip(partitions, starts, strict=False), start=1):
        first, last = start // SECTOR, (start + partition.size) // SECTOR - 1
        words += [
            f"--new={number}:{first}:{last}",
            # a code such as 8304 is unknown to older ones, which then do nothing and say little
            f"--typecode={number}:{partition.kind}",
            f"--change-name={number}:{partition.name}",
            f"--partition-guid={number}:{partition.uuid}",
        ]
    run.run([*words, disk])


def _aligned(size: int, to: int) -> int:
    return -(-size // to) * to
