"""What a tree boots and what it is: kernel, distribution, architecture."""

import platform
import re
import shlex
import struct
from collections.abc import Iterator
from pathlib import Path

from skinnybox import named_file
from skinnybox.errors import NotFound
from skinnybox.masters import inside

_KERNEL = re.compile(r"(?:vmlinu[zx]|kernel)(?:-(.+))?")
_NO_KERNEL = re.compile(r"rescue|\.(?:gz|old|bak|config|dpkg-\w+|rpm\w+)$")
"""Of names that begin so: Fedora's rescue system, openSUSE's kernel for debuggers, and what was replaced."""
MODULES = ("usr/lib/modules", "lib/modules")
_PROGRAMS = ("usr/lib/systemd/systemd", "usr/bin/bash", "bin/bash", "usr/bin/dash", "bin/dash",
             "usr/bin/busybox", "bin/busybox")  # fmt: skip
_MACHINES = {3: "i686", 8: "mips", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64",
             243: "riscv64"}  # fmt: skip
# Debian 11's 5.10 mounts an image all the same, reads it as a disk, and shares no memory.
_FIRST_TO_MAP = (5, 15)
_FIRST_WITH_LARGE_CLUSTERS = (5, 13)
_FIRST_WITH_EROFS = (5, 4)
_FIRST_WITH_OUR_OVERLAYS = (4, 4)
_SETUP_HEADER = 0x202
_HEAD = 1 << 16


def find_kernel(tree: Path) -> Path:
    """The newest kernel of the tree, a regular file in there, and rather one whose modules are there as well.
    Raises NotFound."""
    found = [tree / path for path in _kernels(tree)]
    if not found:
        raise NotFound(
            "the tree has no kernel in /boot, nor beside its modules",
            hint="install a kernel package there, or give one with --kernel",
        )
    return max(found, key=lambda kernel: _rank(tree, kernel_version(kernel)))


def _kernels(tree: Path) -> Iterator[str]:
    for name in inside.names(tree, "boot"):
        if _KERNEL.fullmatch(name) and not _NO_KERNEL.search(name) and _present(tree, f"boot/{name}"):
            yield f"boot/{name}"
    for modules in MODULES:
        for version in inside.names(tree, modules):
            if _present(tree, f"{modules}/{version}/vmlinuz"):
                yield f"{modules}/{version}/vmlinuz"


def _rank(tree: Path, version: str) -> tuple[bool, list[tuple[int, str]]]:
    return any(inside.is_folder(tree, f"{modules}/{version}") for modules in MODULES), _order(version)


def kernel_version(kernel: Path) -> str:
    """What the kernel image says of itself, or else its file name or that of its modules' folder; "unknown"
    when none tells."""
    head = named_file.head(kernel, _HEAD)
    if head[_SETUP_HEADER : _SETUP_HEADER + 4] == b"HdrS":
        start = struct.unpack_from("<H", head, 0x20E)[0] + 0x200
        words = head[start : start + 256].split(b"\0")[0].decode("ascii", "replace").split()
        if words:
            return words[0]
    named = _KERNEL.fullmatch(kernel.name)
    if named and named[1]:
        return named[1]
    return kernel.parent.name if kernel.parent.parent.name == "modules" else "unknown"


def maps_erofs(version: str) -> bool:
    """Whether a kernel of this version can map an EROFS image (DAX). One that tells none is not doubted: its
    guest reports how the master is really mounted."""
    found = _number(version)
    return found is None or found >= _FIRST_TO_MAP


def mounts_overlays(version: str) -> bool:
    """Whether a kernel of this version can mount a machine's overlay, whose checksums do not depend on its
    UUID (ext4's metadata_csum_seed). One that tells no version is not doubted."""
    found = _number(version)
    return found is None or found >= _FIRST_WITH_OUR_OVERLAYS


def reads_erofs(version: str) -> bool:
    """Whether a kernel of this version can read our EROFS images: those before had one in staging, with
    another compression, or none. One that tells no version is not doubted."""
    found = _number(version)
    return found is None or found >= _FIRST_WITH_EROFS


def reads_large_clusters(version: str) -> bool:
    """Whether a kernel of this version reads compressed clusters of more than a block. One that tells none is
    doubted: it would mount no image that has them, and every kernel with EROFS reads small ones."""
    found = _number(version)
    return found is not None and found >= _FIRST_WITH_LARGE_CLUSTERS


def _number(version: str) -> tuple[int, int] | None:
    found = re.match(r"(\d{1,9})\.(\d{1,9})", version)
    return (int(found[1]), int(found[2])) if found else None


def os_name(tree: Path) -> str:
    """PRETTY_NAME of the tree's os-release, "unknown" without one."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        data = inside.read(tree, path, _HEAD)
        if data is not None:
            return os_release(data.decode("utf-8", "replace")).get("PRETTY_NAME", "unknown")
    return "unknown"


def os_release(text: str) -> dict[str, str]:
    """The assignments of an os-release file; a malformed line is left out."""
    found = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#"):
            continue
        try:
            found[key] = "".join(shlex.split(value))
        except ValueError:
            continue
    return found


def architecture(tree: Path) -> str:
    """As `uname -m` says it, read from a program of the tree; this machine's when there is none."""
    machine = elf_machine(tree)
    return platform.machine() if machine is None else _MACHINES.get(machine, f"elf-{machine}")


def elf_machine(tree: Path) -> int | None:
    """For which processors the tree's programs are, as ELF says it; None when it has none that we look at."""
    for path in _PROGRAMS:
        head = inside.read(tree, path, 20)
        if head and len(head) == 20 and head[:4] == b"\x7fELF":
            return int(struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0])
    return None


def _present(tree: Path, path: str) -> bool:
    return bool(inside.read(tree, path, 1))


def _order(version: str) -> list[tuple[int, str]]:
    """`6.1.0-9` comes before `6.1.0-37`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.findall(r"\d+|\D+", version)]
