"""The header and the block table of a VHDX image ([MS-VHDX]). Only called in a confined process."""

import struct
from dataclasses import dataclass
from uuid import UUID

from skinnybox.crc32c import crc32c
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.ext4.device import Device

_KIB, _MIB = 1 << 10, 1 << 20
_HEADERS, _HEADER, _REGIONS, _REGION = (64 * _KIB, 128 * _KIB), 4 * _KIB, 192 * _KIB, 64 * _KIB
_BLOCKS = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
_METADATA = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_SECTOR = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le
_MOST_ENTRIES = 2047
_IS_THERE = 6
_STATE = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Vhdx:
    """`size` of the disk and of its blocks in bytes; `table` is where the block table begins."""

    size: int
    block: int
    sector: int
    table: int
    table_length: int
    differencing: bool


def read_vhdx(device: Device) -> Vhdx:
    """Raises Corrupt; Unsupported when it was not closed by who wrote to it."""
    _check_log(device)
    regions = device.read(_REGIONS, _REGION)
    if regions[:4] != b"regi":
        raise Corrupt("it has no region table")
    found = _entries(regions, 16, struct.unpack_from("<I", regions, 8)[0], "<16sQI4x")
    if _BLOCKS not in found or _METADATA not in found:
        raise Corrupt("its region table lacks the block table")
    table, length = found[_BLOCKS]
    return _parsed(device, found[_METADATA], table, length)


def _check_log(device: Device) -> None:
    """What is in the log is newer than what the tables say, and only who opens it to write replays it."""
    best, log = -1, b""
    for at in _HEADERS:
        raw = device.read(at, _HEADER)
        checksum, sequence = struct.unpack_from("<IQ", raw, 4)
        if raw[:4] == b"head" and crc32c(raw[:4] + bytes(4) + raw[8:]) ^ 0xFFFFFFFF == checksum:
            best, log = max((best, log), (sequence, raw[48:64]))
    if best < 0:
        raise Corrupt("it has no valid header")
    if any(log):
        raise Unsupported(
            "it was not closed properly: its log is to be replayed first",
            hint="`qemu-img check -r all` does that",
        )


def _entries(raw: bytes, start: int, count: int, layout: str) -> dict[bytes, tuple[int, int]]:
    if count > _MOST_ENTRIES or start + count * 32 > len(raw):
        raise Corrupt(f"a table of {count} entries makes no sense")
    rows = (struct.unpack_from(layout, raw, start + number * 32) for number in range(count))
    return {name: (offset, length) for name, offset, length in rows}


def _parsed(device: Device, metadata: tuple[int, int], table: int, length: int) -> Vhdx:
    start, size = metadata
    raw = device.read(start, min(size, 64 * _KIB))
    if raw[:8] != b"metadata":
        raise Corrupt("it has no metadata table")
    found = _entries(raw, 32, struct.unpack_from("<H", raw, 10)[0], "<16sII8x")
    if not {_PARAMETERS, _SIZE, _SECTOR} <= found.keys():
        raise Corrupt("its metadata lack the size of the disk")
    block, flags = struct.unpack("<II", device.read(start + found[_PARAMETERS][0], 8))
    (disk,) = struct.unpack("<Q", device.read(start + found[_SIZE][0], 8))
    (sector,) = struct.unpack("<I", device.read(start + found[_SECTOR][0], 4))
    if sector not in (512, 4096) or not _MIB <= block <= 256 * _MIB or block & (block - 1):
        raise Corrupt(f"sectors of {sector} and blocks of {block} bytes make no sense")
    return Vhdx(
        size=disk, block=block, sector=sector, table=table, table_length=length, differencing=bool(flags & 2)
    )


def end_of_vhdx(device: Device) -> int:
    """How far the file must reach for every block that its table names."""
    found = read_vhdx(device)
    ratio = (found.sector << 23) // found.block
    count = -(-found.size // found.block)
    length = (count + (count - 1) // ratio) * 8
    if length > found.table_length:
        raise Corrupt("its block table is shorter than the disk in it")
    end = 0
    raw = device.read(found.table, length)
    for number in range(count):
        # After every `ratio` blocks there is one for a bitmap, which only differencing disks have.
        (entry,) = struct.unpack_from("<Q", raw, (number + number // ratio) * 8)
        if entry & _STATE >= _IS_THERE:
            end = max(end, (entry >> 20 << 20) + found.block)
    return end
