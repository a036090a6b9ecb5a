"""The confined process that reads a foreign disk: its header, its partitions, one volume as a tar."""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.ext4.device import Device
from skinnybox.masters.disk_header import examine, is_fixed_vhd
from skinnybox.masters.ext4_tar import tar_of
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
    else:
        start, length, apparent = map(int, rest)
        _tar(int(descriptor), start, length, apparent)


def _header(device: Device, told: str) -> Iterator[Any]:
    name, size = examine(device, told or None)
    yield {"format": name, "size": size, "plain": name == "raw" or (name == "vhd" and is_fixed_vhd(device))}


def _places(descriptor: int, size: int) -> Iterator[Any]:
    for place in stretches(Device(descriptor, size)):
        found = {"number": place.number, "start": place.start, "length": place.length, "holds": place.holds}
        yield {**found, **(_volume(descriptor, place) if place.holds == "ext4" else {})}


def _volume(descriptor: int, place: Stretch) -> dict[str, Any]:
    """What an ext4 volume is good for. Before its journal is replayed this is a guess, or unreadable."""
    try:
        volume = open_descriptor(descriptor, place.start, place.length)
    except Corrupt as error:
        return {"flaw": error.message}
    known = volume.superblock
    out: dict[str, Any] = {
        "clean": known.clean,
        "used": (known.blocks - known.free_blocks) * known.block_size,
    }
    try:
        return {**out, "system": _has_system(volume), "kernel": _has_kernel(volume)}
    except Corrupt as error:
        return {**out, "flaw": error.message}


def _has_system(volume: Volume) -> bool:
    return any(path.rpartition(b"/")[2] in volume.names(path.rpartition(b"/")[0]) for path in _OS_RELEASE)


def _has_kernel(volume: Volume) -> bool:
    return any(name.startswith((b"vmlinuz-", b"vmlinux-")) for name in volume.names(b""))


def _tar(descriptor: int, start: int, length: int, apparent: int) -> None:
    out = sys.stdout.buffer
    try:
        for piece in tar_of(open_descriptor(descriptor, start, length), apparent=apparent):
            out.write(piece)
        out.flush()
    except (SkinnyboxError, MemoryError) as error:
        complain(error)
