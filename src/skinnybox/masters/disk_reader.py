"""The confined process that reads a foreign disk: its header, its partitions, what the root says of its
filesystems, one volume as a tar."""

import base64
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from skinnybox.errors import Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.ext4.device import Device
from skinnybox.masters import mount_units
from skinnybox.masters.disk_blocks import check_whole
from skinnybox.masters.disk_header import examine, is_fixed_vhd
from skinnybox.masters.ext4_tar import tar_of
from skinnybox.masters.filesystem_table import CRYPTTAB, FSTAB, LONGEST, linked, too_long
from skinnybox.masters.partitions import Stretch, stretches
from skinnybox.sandbox.reader import answer, complain

_OS_RELEASE = (b"etc/os-release", b"usr/lib/os-release")


def main(arguments: Sequence[str]) -> None:
    descriptor, what, *rest = arguments
    device = Device(int(descriptor), os.lseek(int(descriptor), 0, os.SEEK_END))
    if what == "header":
        answer(_header(device, rest[0]))
    elif what == "places":
        answer(_places(int(descriptor), int(rest[0])))
    elif what == "tables":
        start, length = map(int, rest)
        answer(_tables(int(descriptor), start, length))
    else:
        start, length, apparent = map(int, rest)
        _tar(int(descriptor), start, length, apparent)


def _header(device: Device, told: str) -> Iterator[Any]:
    name, size = examine(device, told or None)
    check_whole(device, name)
    yield {"format": name, "size": size, "plain": name == "raw" or (name == "vhd" and is_fixed_vhd(device))}


def _places(descriptor: int, size: int) -> Iterator[Any]:
    for place in stretches(Device(descriptor, size)):
        found = {
            "number": place.number,
            "start": place.start,
            "length": place.length,
            "holds": place.holds,
            "names": place.names,
        }
        yield {**found, **(_volume(descriptor, place) if place.holds == "ext4" else {})}


def _volume(descriptor: int, place: Stretch) -> dict[str, Any]:
    """What an ext4 volume is good for. Before its journal is replayed this is a guess, or unreadable."""
    try:
        volume = open_descriptor(descriptor, place.start, place.length)
    except (Corrupt, Unsupported) as error:
        return {"flaw": error.message, "unknown": isinstance(error, Unsupported)}
    known = volume.superblock
    out: dict[str, Any] = {
        "clean": known.clean,
        "used": (known.blocks - known.free_blocks) * known.block_size,
    }
    try:
        return {**out, "system": _has_system(volume), "kernel": _has_kernel(volume)}
    except (Corrupt, Unsupported) as error:
        return {**out, "flaw": error.message, "unknown": isinstance(error, Unsupported)}


def _has_system(volume: Volume) -> bool:
    return any(path.rpartition(b"/")[2] in volume.names(path.rpartition(b"/")[0]) for path in _OS_RELEASE)


def _has_kernel(volume: Volume) -> bool:
    return any(name.startswith((b"vmlinuz-", b"vmlinux-")) for name in volume.names(b""))


def _tables(descriptor: int, start: int, length: int) -> Iterator[str]:
    """The two files, base64: nothing in them is text for sure; then name and text of each mount unit."""
    volume = open_descriptor(descriptor, start, length)

    def names(path: str) -> list[str]:
        return [os.fsdecode(name) for name in volume.names(os.fsencode(path))]

    for path in (FSTAB, CRYPTTAB):
        yield base64.b64encode(_content(volume, path, LONGEST)).decode()
    for name, text in mount_units.enabled(names, lambda path: _unit(volume, path)):
        yield name
        yield base64.b64encode(text).decode()


def _unit(volume: Volume, path: str) -> bytes:
    """Nothing of a link: what packages bring, or a unit that is masked."""
    return b"" if volume.lookup(path.encode()).type == "l" else _content(volume, path, mount_units.LONGEST)


def _content(volume: Volume, path: str, limit: int) -> bytes:
    try:
        node = volume.lookup(path.encode())
    except NotFound:
        return b""
    if node.type == "l":
        raise linked(path)
    if node.type != "-":
        return b""
    if node.size > limit:
        raise too_long(path, limit)
    return b"".join(volume.read(node))


def _tar(descriptor: int, start: int, length: int, apparent: int) -> None:
    out = sys.stdout.buffer
    try:
        for piece in tar_of(open_descriptor(descriptor, start, length), apparent=apparent):
            out.write(piece)
        out.flush()
    except (SkinnyboxError, MemoryError) as error:
        complain(error)
