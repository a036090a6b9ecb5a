"""Putting an initramfs together."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

from skinnybox import cpio
from skinnybox.cpio import Entry, file, folder
from skinnybox.errors import Unsupported
from skinnybox.masters.guest_part import guest_folder
from skinnybox.masters.initramfs import programs
from skinnybox.masters.initramfs.modules import Modules, modules
from skinnybox.masters.kernel import elf_machine, kernel_version
from skinnybox.operation import Operation

_FOLDERS = ("dev", "proc", "sys", "run", "root")
_LIBRARY = "usr/lib/skinnybox/lib"
_EARLY, _LATE = "conf/skinnybox-modules", "conf/skinnybox-late-modules"
_LEVEL = 4
"""6 takes twice as long and 9 ten times, for 3 and 4 parts in a hundred."""


def make(tree: Path, kernel: Path, target: Path, operation: Operation, *, erofs: bool = True) -> None:
    """Write the initramfs with which a kernel of this tree boots a machine, whose master's image is EROFS or
    else ext4. On the same host, the same bytes.

    Unsupported when the kernel cannot boot thin, is for other processors than this host's programs, or one of
    these is not installed; Corrupt for modules that cannot be read.
    """
    version = kernel_version(kernel)
    operation.step(task="initramfs", detail=f"for the kernel {version}")
    _check_machine(tree)
    found = modules(tree, version, erofs=erofs)
    data = cpio.packed([*map(folder, _FOLDERS), *cpio.with_folders(_entries(found))])
    target.write_bytes(gzip.compress(data, _LEVEL, mtime=0))


def _check_machine(tree: Path) -> None:
    theirs, ours = elf_machine(tree), programs.machine()
    if theirs not in (None, ours):
        raise Unsupported(
            "the tree is for other processors than this host's programs, of which its initramfs is made",
            hint="make the master on such a host, or give an initramfs of your own with --initrd",
        )


def _entries(found: Modules) -> Iterator[Entry]:
    guest = guest_folder()
    yield file("init", (guest / "initramfs/init").read_bytes(), 0o755)
    yield file("scripts/skinnybox", (guest / "initramfs/skinnybox").read_bytes())
    for script in sorted((guest / "lib").glob("*.sh")):
        yield file(f"{_LIBRARY}/{script.name}", script.read_bytes())
    yield from programs.entries()
    yield from found.entries
    yield file(_EARLY, _lines(found.early))
    yield file(_LATE, _lines(found.late))


def _lines(names: Sequence[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()
