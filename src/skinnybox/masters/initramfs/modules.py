"""The modules of a master's kernel that bring it to its disks and filesystems: plain, whatever they are
packed with, since not every busybox loads packed ones, and listed with what each needs.

What a module needs is read in the module itself, so no depmod need have run in the tree. All of it may be a
stranger's: it is unpacked confined, and what cannot be read is not there.
"""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skinnybox.cpio import Entry, file
from skinnybox.errors import CommandFailed, Corrupt, TimedOut, Unsupported
from skinnybox.masters import inside
from skinnybox.masters.kernel import MODULES
from skinnybox.sandbox.confinement import path_of
from skinnybox.sandbox.process import confined
from skinnybox.sizes import MIB

EARLY = (
    "virtio_pci", "virtio_mmio", "virtio_blk", "virtio_console", "virtio_rng", "virtio_pmem", "nd_pmem",
    "xen_blkfront", "qemu_fw_cfg", "crc32c_generic", "crc32c_intel", "overlay", "ext4", "erofs",
)  # fmt: skip
LATE = ("virtio_scsi", "sd_mod")
"""Loaded only when a disk is not there with those: /dev/sdX of QEMU and others."""
ASKED = ("lzo_rle", "zram")
"""Loaded only where a seed asks for what they do (swap.sh)."""
_NEEDED = {"overlay": "OVERLAY_FS", "ext4": "EXT4_FS", "erofs": "EROFS_FS"}
"""Without one of these no machine starts, and what switches it on in a kernel's configuration."""
_PACKED = {".xz": ("xz", "-dc", "-T1"), ".zst": ("zstd", "-dcqf", "--single-thread"), ".gz": ("gzip", "-dc")}
"""zstd reads no link, as the path of a descriptor is one, unless forced; and it has threads all the same."""
_THREADS = 8
_FIRST = "updates"
"""The folder whose modules take the place of others (depmod.d: search updates built-in)."""
_NAME = re.compile(r"([A-Za-z0-9_-]{1,100})\.ko(\.[a-z]{2,3})?")
_DEPENDS = re.compile(rb"\0depends=([A-Za-z0-9_,-]{0,1000})\0")
LARGEST, MOST_TOGETHER, _MOST = 16 * MIB, 64 * MIB, 100
MOST_FILES, MOST_TEXT = 100_000, 4 * MIB
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Modules:
    """`entries` of the archive; `early` and `late` are the names of those that are modules, in that order."""

    entries: Sequence[Entry]
    early: Sequence[str]
    late: Sequence[str]


def modules(tree: Path, version: str, *, erofs: bool = True) -> Modules:
    """Of the tree's kernel of that version. Unsupported when it lacks what no machine can do without: EROFS
    only where its master's image is one. What is there is taken all the same, so that a master's initramfs,
    and with it its id, does not depend on that."""
    place = _place(tree, version)
    paths = _paths(tree, place) if place else {}
    _check(tree, place, version, paths, [name for name in _NEEDED if erofs or name != "erofs"])
    found = taken(tree, (*EARLY, *LATE, *ASKED), paths)
    folder = f"lib/modules/{version}"
    files = [file(f"{folder}/{name}.ko", data) for name, (data, _) in found.items()]
    listed = "".join(_line(name, found) for name in found)
    return Modules(
        entries=[*files, file(f"{folder}/modules.dep", listed.encode())],
        early=[name for name in EARLY if name in found],
        late=[name for name in LATE if name in found],
    )


def lacks_erofs(tree: Path, version: str) -> bool:
    """Whether the tree's kernel of that version has no EROFS, as far as the tree tells."""
    place = _place(tree, version)
    paths = _paths(tree, place) if place else {}
    known = bool(place) or bool(_configured(tree, version))
    return known and bool(_lacking(tree, place, version, paths, ["erofs"]))


def _place(tree: Path, version: str) -> str:
    places = [f"{folder}/{version}" for folder in MODULES]
    return next((path for path in places if inside.is_folder(tree, path)), "")


def _configured(tree: Path, version: str) -> bytes:
    return inside.read(tree, f"boot/config-{version}", MOST_TEXT) or b""


def _lacking(
    tree: Path, place: str, version: str, paths: Mapping[str, str], needed: Sequence[str]
) -> list[str]:
    built_in, configured = _built_in(tree, place), _configured(tree, version)
    return [
        name for name in needed
        if name not in paths and name not in built_in
        and f"\nCONFIG_{_NEEDED[name]}=y\n".encode() not in configured
    ]  # fmt: skip


def _check(tree: Path, place: str, version: str, paths: Mapping[str, str], needed: Sequence[str]) -> None:
    lacking = _lacking(tree, place, version, paths, needed)
    if not lacking:
        return
    if not place and not _configured(tree, version):
        raise Unsupported(
            f"the tree has no modules of its kernel {version}, and nothing says what is built into it",
            hint=f"they belong in /lib/modules/{version}; of a kernel without modules, put its configuration "
            f"at /boot/config-{version}; or give an initramfs of your own with --initrd",
        )
    raise Unsupported(
        f"the kernel {version} of the tree has no {' and no '.join(lacking)}: it cannot boot thin",
        hint="install another kernel package there",
    )


def _built_in(tree: Path, place: str) -> set[str]:
    return built_in((inside.read(tree, f"{place}/modules.builtin", MOST_TEXT) if place else None) or b"")


def built_in(text: bytes) -> set[str]:
    """Of a kernel whose modules.builtin says this."""
    names = (posixpath.basename(line) for line in text.decode("utf-8", "replace").splitlines())
    return {_plain(found[1]) for found in map(_NAME.fullmatch, names) if found}


def _paths(tree: Path, place: str) -> dict[str, str]:
    return by_name(_files(tree, place), place)


def by_name(files: Iterable[str], place: str) -> dict[str, str]:
    """Where each module lies; `place` is the folder of all of them."""
    found: dict[str, str] = {}
    for path in files:
        name = _NAME.fullmatch(posixpath.basename(path))
        if name is None:
            continue
        first = path.startswith(f"{place}/{_FIRST}/")
        if first or _plain(name[1]) not in found:
            found[_plain(name[1])] = path
    return found


def _files(tree: Path, place: str) -> Iterator[str]:
    """In the same order wherever the tree lies."""
    folder = inside.open_folder(tree, place)
    if folder is None:
        return
    try:
        seen = 0
        for path, folders, names, _ in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
            folders.sort()
            seen += len(names)
            if seen > MOST_FILES:
                raise Unsupported(f"/{place} of the tree has more than {MOST_FILES} files")
            for name in sorted(names):
                yield posixpath.normpath(f"{place}/{path}/{name}")
    finally:
        os.close(folder)


Found = dict[str, tuple[bytes, Sequence[str]]]
"""By name, each module and what it needs."""


def taken(tree: Path, names: Iterable[str], paths: Mapping[str, str]) -> Found:
    """Those of these names that are in the tree, plain, with all that they need and that is there as well.
    Raises Corrupt."""
    found: Found = {}
    for name in names:
        _take(tree, name, paths, found)
    return found


def load_order(found: Found) -> list[str]:
    """Each behind all that it needs."""
    order: dict[str, None] = {}
    for name in found:
        order.update(dict.fromkeys((*_order(name, found), name)))
    return list(order)


def _take(tree: Path, name: str, paths: Mapping[str, str], found: Found) -> None:
    """With all that it needs. Those of one that is hostile may be many, and in a circle."""
    if name in found or name not in paths:
        return
    data = _read(tree, paths[name])
    if len(found) >= _MOST or sum(len(other) for other, _ in found.values()) + len(data) > MOST_TOGETHER:
        raise Corrupt("the modules that the tree's kernel needs for its disks are too many, or too large")
    named = _DEPENDS.search(data)
    needs = [_plain(part) for part in named[1].decode().split(",") if part] if named else []
    found[name] = (data, needs)
    for needed in needs:
        _take(tree, needed, paths, found)


def _read(tree: Path, path: str) -> bytes:
    descriptor = inside.open_file(tree, path)
    if descriptor is None:
        raise Corrupt(f"/{path} of the tree is no file")
    try:
        words = _PACKED.get(posixpath.splitext(path)[1])
        if words is None:
            data = _all(descriptor)
        else:
            data = confined(
                [*words, path_of(descriptor)], pass_fds=[descriptor], output=LARGEST, threads=_THREADS
            ).stdout
    except (CommandFailed, TimedOut) as error:
        raise Corrupt(f"/{path} of the tree cannot be unpacked: {error.message}") from error
    finally:
        os.close(descriptor)
    if not data.startswith(_ELF) or len(data) > LARGEST:
        raise Corrupt(f"/{path} of the tree is no module of a kernel")
    return data


def _all(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as source:
        return source.read(LARGEST + 1)


def _line(name: str, found: Mapping[str, tuple[bytes, Sequence[str]]]) -> str:
    """Of modules.dep: a module, and all that it needs, what is loaded last first."""
    return f"{name}.ko:{''.join(f' {each}.ko' for each in reversed(_order(name, found)))}\n"


def _order(name: str, found: Mapping[str, tuple[bytes, Sequence[str]]]) -> list[str]:
    """What must be loaded before a module, in that order."""
    order: dict[str, None] = {}

    def visit(each: str, above: frozenset[str]) -> None:
        for needed in found[each][1]:
            if needed in found and needed not in above and needed not in order:
                visit(needed, above | {needed})
                order[needed] = None

    visit(name, frozenset({name}))
    return list(order)


def _plain(name: str) -> str:
    """A module's name as the kernel says it."""
    return name.replace("-", "_")
