"""How far the file of a disk image must reach, by what its own tables say is in it.

Only called in a confined process. A reader of these formats takes what lies behind the end of the file for
zeros, and does so silently, QEMU's as well: a copy that broke off half-way became a system with zeros inside
its files. So every block that a table names has to be there before the first one is read. Layouts: QEMU's
docs/interop/qcow2.txt and block/{vmdk,vdi,vpc}.c; VHDX is in vhdx.py.
"""

import struct
import sys
from array import array

from skinnybox.errors import Corrupt
from skinnybox.ext4.device import Device
from skinnybox.masters.vhdx import end_of_vhdx

_SECTOR = 512
_NOTHING = 0xFFFFFFFF
_ZEROS = 0xFFFFFFFE


def check_whole(device: Device, kind: str) -> None:
    """Raises Corrupt when the image goes on behind the end of its file. Its header was examined before."""
    ends = {"qcow2": _qcow2, "vmdk": _vmdk, "vdi": _vdi, "vhd": _vhd, "vhdx": end_of_vhdx, "raw": _nowhere}
    end = ends[kind](device)
    if end > device.size:
        raise Corrupt(
            f"it is cut off: what is in it reaches to byte {end}, and the file ends at {device.size}",
            hint="copy it once more, and compare the lengths",
        )


def _nowhere(_: Device) -> int:
    return 0


_OFFSET, _COMPRESSED, _ZERO = 0x00FFFFFFFFFFFE00, 1 << 62, 1


def _qcow2(device: Device) -> int:
    head = device.read(0, 104)
    bits, size, l1_size, l1_at = struct.unpack_from(">IQ4xIQ", head, 20)
    extended = head[7] >= 3 and bool(struct.unpack_from(">Q", head, 72)[0] & 0x10)
    cluster = 1 << bits
    covered = cluster // (16 if extended else 8) * cluster
    tables = _words(device, l1_at, min(l1_size, -(-size // covered)), "Q", ">")
    end = 0
    for number, entry in enumerate(tables):
        if entry & _OFFSET:
            words = _words(device, entry & _OFFSET, cluster // 8, "Q", ">")
            parts = words[1::2] if extended else None
            clusters = words[::2] if extended else words
            end = max(end, _end_of_clusters(clusters, parts, bits, size - number * covered, device.size))
    return end


def _end_of_clusters(
    entries: "array[int]", parts: "array[int] | None", bits: int, left: int, there: int
) -> int:
    """Of one table; `left` is how much of the disk begins with its first cluster, `parts` tells for
    each which thirty-seconds of it are there, when the image is of that kind."""
    cluster, shift = 1 << bits, 62 - (bits - 8)
    end = max((entry & _OFFSET for entry in entries if not entry & _COMPRESSED), default=0) + cluster
    if end == cluster or end > there:
        # One by one: the last cluster need not be there whole, and one that is told to be zero not at all.
        end = max(
            (
                (entry & _OFFSET) + max(0, min(_held(entry, parts, index, cluster), left - index * cluster))
                for index, entry in enumerate(entries)
                if entry & _OFFSET and not entry & _COMPRESSED
            ),
            default=0,
        )
    packed = (
        (entry & ((1 << shift) - 1)) // _SECTOR + (entry >> shift & ((1 << (bits - 8)) - 1))
        for entry in entries
        if entry & _COMPRESSED
    )
    # Compressed data are counted in sectors, of which the file's last may be there in part.
    return max(end, max(packed, default=-1) * _SECTOR + 1)


def _held(entry: int, parts: "array[int] | None", index: int, cluster: int) -> int:
    """How much of a cluster its place must hold."""
    if parts is not None:
        return (parts[index] & _NOTHING).bit_length() * (cluster // 32)
    return 0 if entry & _ZERO else cluster


_AT_END = (1 << 64) - 1
_PACKED, _HAS_ZERO_GRAINS = 1 << 16, 4


def _vmdk(device: Device) -> int:
    head = device.read(0, _SECTOR)
    if struct.unpack_from("<Q", head, 56)[0] == _AT_END:
        head = device.read(device.size - 2 * _SECTOR, _SECTOR)
    flags, capacity, grain, per_table, tables_at = struct.unpack_from("<IQQ16xI8xQ", head, 8)
    if not 0 < grain <= 1 << 16 or not 0 < per_table <= 512:
        raise Corrupt("its grains make no sense")
    end = 0
    tables = _words(device, tables_at * _SECTOR, -(-capacity // (grain * per_table)), "I", "<")
    for number, table in enumerate(tables):
        if not table:
            continue
        for index, at in enumerate(_words(device, table * _SECTOR, per_table, "I", "<")):
            if not at or (at == 1 and flags & _HAS_ZERO_GRAINS):
                continue
            if flags & _PACKED:
                (length,) = struct.unpack("<8xI", device.cached(at * _SECTOR, 12))
                end = max(end, at * _SECTOR + 12 + length)
            else:
                left = capacity - (number * per_table + index) * grain
                end = max(end, (at + max(0, min(grain, left))) * _SECTOR)
    return end


def _vdi(device: Device) -> int:
    head = device.read(0, _SECTOR)
    table, data = struct.unpack_from("<II", head, 0x154)
    size, block, extra, count = struct.unpack_from("<QIII", head, 0x170)
    if block < _SECTOR or extra:
        raise Corrupt(f"blocks of {block} and {extra} bytes make no sense")
    blocks = _words(device, table, min(count, -(-size // block)), "I", "<")
    if len(blocks) * block < size:
        raise Corrupt("its table is shorter than the disk in it")
    # Blocks are written whole, whatever of the last one the disk has.
    return max((data + (at + 1) * block for at in blocks if at not in (_NOTHING, _ZEROS)), default=0)


def _vhd(device: Device) -> int:
    footer = device.read(0, _SECTOR)
    if footer[:8] != b"conectix":  # a plain disk, whose end is what told the format
        return 0
    at, size = struct.unpack_from(">Q24xQ", footer, 16)
    head = device.read(at, 1024)
    table, count, block = struct.unpack_from(">Q4xII", head, 16)
    if head[:8] != b"cxsparse" or not _SECTOR <= block <= 1 << 30 or block % _SECTOR:
        raise Corrupt("its dynamic header makes no sense")
    bitmap = -(-block // _SECTOR // 8 // _SECTOR) * _SECTOR
    blocks = _words(device, table, min(count, -(-size // block)), "I", ">")
    return max((at * _SECTOR + bitmap + block for at in blocks if at != _NOTHING), default=0)


def _words(device: Device, offset: int, count: int, code: str, order: str) -> "array[int]":
    """A table of numbers. Corrupt when it lies behind the end: then so does what it names."""
    words = array(code)
    length = count * words.itemsize
    if offset + length > device.size:
        raise Corrupt(
            f"it is cut off: a table reaches to byte {offset + length}, and the file ends at {device.size}",
            hint="copy it once more, and compare the lengths",
        )
    words.frombytes(device.read(offset, length))
    if (order == ">") != (sys.byteorder == "big"):
        words.byteswap()
    return words
