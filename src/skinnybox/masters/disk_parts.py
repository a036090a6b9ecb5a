"""What lies on a disk that somebody else made, as a confined process tells, and which part is the root."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinnybox.errors import Corrupt, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters import inside
from skinnybox.masters.partitions import KINDS, MOST
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import inquire
from skinnybox.sizes import MIB

READER = "skinnybox.masters.disk_reader"
QUICK = Bounds(memory=512 * MIB, cpu_seconds=60)
COMPLETE = "is the image complete, and was its machine shut down when it was copied?"
TAR = (
    "make a tar in the running system, and import that: "
    "tar --one-file-system --xattrs --acls --numeric-owner -cf root.tar -C / ."
)
_ELSEWHERE = ("LVM", "btrfs", "xfs", "LUKS", "RAID", "bcache", "F2FS", "EROFS", "squashfs", "NTFS")
FILESYSTEMS = frozenset({"ext4", *_ELSEWHERE})
"""What may hold files that somebody wants; not swap, nor FAT, with which firmware boots."""
_KERNEL = re.compile(r"vmlinu[zx]-")
_NAMES, _LONGEST_NAME = 4, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPart:
    """A stretch of a disk, as its confined reader tells. `system` is whether it has an os-release, `kernel`
    whether it has one at its top; `flaw` is why an ext4 volume cannot be read, if so, `unknown` that it is
    sound for all we know, and of a kind that we cannot read; `names` are those by which an fstab may call it
    (see disk_names)."""

    number: int
    start: int
    length: int
    holds: str
    clean: bool = False
    used: int = 0
    system: bool = False
    kernel: bool = False
    flaw: str = ""
    unknown: bool = False
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"partition {self.number}" if self.number else "the disk"


def parts_of(disk: Path, size: int, source: Path) -> list[DiskPart]:
    with opened(disk) as descriptor:
        words = [str(descriptor), "places", str(size)]
        with inquire(READER, words, subject=str(source), bounds=QUICK, pass_fds=[descriptor]) as answers:
            found = [_part(value, size, source) for _, value in zip(range(MOST + 1), answers, strict=False)]
    if not 0 < len(found) <= MOST:
        raise improper(source)
    return found


def _part(value: Any, size: int, source: Path) -> DiskPart:
    try:
        part = DiskPart(**{**value, "names": tuple(value["names"])})
    except (TypeError, KeyError) as error:
        raise improper(source) from error
    numbers = (part.number, part.start, part.length, part.used)
    flags = (part.clean, part.system, part.kernel, part.unknown)
    if (
        all(type(number) is int and number >= 0 for number in numbers)
        and all(type(flag) is bool for flag in flags)
        and part.holds in KINDS
        and part.start + part.length <= size
        and type(part.flaw) is str
        and len(part.flaw) < 1000
        and len(part.names) <= _NAMES
        and all(type(name) is str and len(name) <= _LONGEST_NAME for name in part.names)
    ):
        return part
    raise improper(source)


def root_of(parts: list[DiskPart], wanted: int | None, source: Path) -> DiskPart:
    if wanted is not None:
        return _wanted(parts, wanted, source)
    volumes = [part for part in parts if part.holds == "ext4"]
    # What cannot be read before its journal is replayed may be it, if nothing else is.
    found = [part for part in volumes if part.system] or [part for part in volumes if not part.clean]
    if len(found) > 1:
        names = ", ".join(str(part.number) for part in found)
        raise UsageError(f"{source} has systems on partitions {names}", hint="choose one with --partition")
    if found:
        return found[0]
    others = [part for part in parts if part.holds in _ELSEWHERE]
    if others:
        told = ", ".join(f"{part.name} holds {part.holds}" for part in others)
        raise Unsupported(f"{source}: {told}; only a root filesystem of ext4 can be read", hint=TAR)
    bad = next((part for part in volumes if part.flaw), None)
    if bad:
        raise flawed(bad, f"{source}, {bad.name}")
    told = ", ".join(f"{part.name} holds {part.holds or 'nothing that is known'}" for part in parts[:10])
    raise Unsupported(f"{source} has no ext4 volume with an operating system on it", hint=told)


def flawed(part: DiskPart, subject: str) -> SkinnyboxError:
    """Why its flaw keeps it from being read."""
    if part.unknown:
        return Unsupported(f"{subject}: {part.flaw}", hint=TAR)
    return Corrupt(f"{subject}: {part.flaw}", hint=COMPLETE)


def _wanted(parts: list[DiskPart], number: int, source: Path) -> DiskPart:
    found = next((part for part in parts if part.number == number), None)
    if found is None:
        there = ", ".join(str(part.number) for part in parts if part.number) or "none"
        raise NotFound(f"{source} has no partition {number}", hint=f"there are: {there}")
    if found.holds != "ext4":
        what = found.holds or "nothing that is known"
        raise Unsupported(f"{source}: partition {number} holds {what}; only ext4 can be read", hint=TAR)
    return found


def separate_boot(parts: list[DiskPart], root: DiskPart, tree: Path) -> DiskPart | None:
    """The volume that the system mounted at /boot, when its own /boot has no kernel."""
    if not inside.is_folder(tree, "boot") or any(_KERNEL.match(name) for name in inside.names(tree, "boot")):
        return None
    found = [part for part in parts if part.kernel and not part.system and part is not root]
    return found[0] if len(found) == 1 else None


def improper(source: Path) -> Corrupt:
    return Corrupt(f"{source}: its reader gave no proper answer", hint=COMPLETE)
