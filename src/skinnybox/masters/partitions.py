"""Where the filesystems of a disk are, and what each of them is. Only called in a confined process."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from skinnybox.errors import Corrupt
from skinnybox.ext4.device import Device
from skinnybox.masters import disk_names

MOST = 256
"""Partitions of a disk: more are refused."""

_SECTORS = (512, 4096)
_GPT = struct.Struct("<8sIIIIQQQQ16sQIII")
_GPT_ENTRY = struct.Struct("<16s16sQQ")
_LARGEST_ENTRY = 4096
_GPT_NAME = range(56, 128)
_EXTENDED = (0x05, 0x0F, 0x85)
_PROTECTIVE = 0xEE
_SIGNATURES = (
    ("LUKS", 0, b"LUKS\xba\xbe"), ("LVM", 512, b"LABELONE"), ("LVM", 0, b"LABELONE"),
    ("RAID", 4096, b"\xfc\x4e\x2b\xa9"), ("RAID", 0, b"\xfc\x4e\x2b\xa9"),
    ("ext4", 0x438, b"\x53\xef"), ("btrfs", 0x10040, b"_BHRfS_M"), ("xfs", 0, b"XFSB"),
    ("swap", 4086, b"SWAPSPACE2"), ("EROFS", 1024, b"\xe2\xe1\xf5\xe0"), ("squashfs", 0, b"hsqs"),
    ("F2FS", 1024, b"\x10\x20\xf5\xf2"), ("bcache", 0x1018, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca"),
    ("NTFS", 3, b"NTFS    "), ("FAT", 54, b"FAT"), ("FAT", 82, b"FAT32"),
)  # fmt: skip
KINDS = frozenset({name for name, _, _ in _SIGNATURES} | {""})
"""What a place can hold; "" is what is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of the disk, in bytes. `number` is the partition's, 0 for the whole disk; `names` are those
    by which an fstab may call it."""

    number: int
    start: int
    length: int
    holds: str
    names: tuple[str, ...] = ()


class _Row(NamedTuple):
    """Of a partition table, in bytes; with the names that the table gives it."""

    number: int
    start: int
    length: int
    names: tuple[str, ...] = ()


def stretches(device: Device) -> list[Stretch]:
    """The partitions, or the whole disk when it has none. Raises Corrupt for a table that makes no sense."""
    whole = _stretch(device, _Row(0, 0, device.size))
    for sector in _SECTORS:
        found = _by_gpt(device, sector, whole.holds)
        if found is not None:
            return found or [whole]
    try:
        found = _checked(device, _mbr(device))
    except Corrupt:
        if whole.holds == "ext4":  # the first sectors of a filesystem are free for any boot loader
            return [whole]
        raise
    return found or [whole]


def holds(device: Device, start: int, length: int) -> str:
    """One of KINDS."""
    for name, offset, magic in _SIGNATURES:
        if offset + len(magic) <= length and _peek(device, start + offset, len(magic)) == magic:
            return name
    return ""


def _stretch(device: Device, row: _Row) -> Stretch:
    what = holds(device, row.start, row.length)
    names = (*disk_names.of_filesystem(device, row.start, row.length, what), *row.names)
    return Stretch(number=row.number, start=row.start, length=row.length, holds=what, names=names)


def _checked(device: Device, found: Iterator[_Row]) -> list[Stretch]:
    """Inside the disk, apart from each other, and not too many."""
    out: list[Stretch] = []
    for row in found:
        number, start, length, _ = row
        if len(out) >= MOST:
            raise Corrupt(f"it has more than {MOST} partitions")
        if start <= 0 or length <= 0 or start + length > device.size:
            raise Corrupt(f"partition {number} lies outside of the disk")
        out.append(_stretch(device, row))
    end, before = 0, 0
    for place in sorted(out, key=lambda place: place.start):
        if place.start < end:
            raise Corrupt(f"partitions {before} and {place.number} cross each other")
        end, before = place.start + place.length, place.number
    return out


def _by_gpt(device: Device, sector: int, whole: str) -> list[Stretch] | None:
    """By the GPT at its front; else by the copy at its end, but not by one that was left there when the disk
    got another table. None: there is neither."""
    if _peek(device, sector, 8) == b"EFI PART":
        try:
            return _checked(device, _gpt(device, sector, sector))
        except Corrupt as error:
            return _by_copy(device, sector, error)
    kinds = {kind for kind, _, _ in _slots(device, 0, strict=False)}
    if _PROTECTIVE in kinds or (kinds == {0} and not whole):
        return _by_copy(device, sector, None)
    return None


def _by_copy(device: Device, sector: int, flaw: Corrupt | None) -> list[Stretch] | None:
    """`flaw` is what is wrong with the one at the front."""
    end = device.size - device.size % sector - sector
    if end > sector and _peek(device, end, 8) == b"EFI PART":
        try:
            return _checked(device, _gpt(device, sector, end))
        except Corrupt as error:
            flaw = flaw or error
    if flaw:
        raise flaw
    return None


def _gpt(device: Device, sector: int, at: int) -> Iterator[_Row]:
    raw = device.read(at, _GPT.size)
    (_, _, length, checksum, _, own, other, first, last, _, table, count, each, table_sum) = _GPT.unpack(raw)
    if not _GPT.size <= length <= sector or zlib.crc32(_without_sum(device.read(at, length))) != checksum:
        raise Corrupt("the header of its GPT has a wrong checksum")
    if own * sector != at:
        raise Corrupt("the header of its GPT belongs elsewhere")
    if (other + 1) * sector > device.size:
        raise Corrupt(
            f"it is cut off: by its GPT it has {(other + 1) * sector} bytes, and there are {device.size}",
            hint="copy it once more; if it was made shorter on purpose, `sgdisk -e` moves the end of its GPT",
        )
    if count > 4 * MOST or not _GPT_ENTRY.size <= each <= _LARGEST_ENTRY:
        raise Corrupt(f"its GPT has {count} entries of {each} bytes: that makes no sense")
    entries = device.read(table * sector, count * each)
    if zlib.crc32(entries) != table_sum:
        raise Corrupt("the entries of its GPT have a wrong checksum")
    for number in range(count):
        kind, unique, start, end = _GPT_ENTRY.unpack_from(entries, number * each)
        if not any(kind):
            continue
        if not first <= start <= end <= last:
            raise Corrupt(f"partition {number + 1} lies outside of what its GPT has to give")
        name = entries[number * each + _GPT_NAME.start : number * each + min(each, _GPT_NAME.stop)]
        names = tuple(disk_names.of_gpt_entry(unique, name))
        yield _Row(number + 1, start * sector, (end - start + 1) * sector, names)


def _without_sum(header: bytes) -> bytes:
    return header[:16] + bytes(4) + header[20:]


def _mbr(device: Device) -> Iterator[_Row]:
    signature = _peek(device, 440, 4)
    for number, (kind, start, count) in enumerate(_slots(device, 0), start=1):
        if kind == _PROTECTIVE:
            raise Corrupt("it has a protective MBR, but no GPT")
        if kind in _EXTENDED:
            yield from _logical(device, start, count, signature)
        elif kind and count:
            yield _Row(number, start * 512, count * 512, tuple(disk_names.of_mbr_slot(signature, number)))


def _logical(device: Device, base: int, size: int, signature: bytes) -> Iterator[_Row]:
    """The chain of tables in an extended partition; each must lie behind the one before, so it ends."""
    table, number = base, 5
    while True:
        (kind, start, count), (more, following, _), *_ = _slots(device, table * 512)
        if kind and count:
            if start + count > base + size - table:
                raise Corrupt(f"partition {number} lies outside of the extended one")
            names = tuple(disk_names.of_mbr_slot(signature, number))
            yield _Row(number, (table + start) * 512, count * 512, names)
            number += 1
        if more not in _EXTENDED:
            return
        if not table < base + following < base + size:
            raise Corrupt("the chain of logical partitions leads astray")
        table = base + following
        if number > MOST:
            raise Corrupt(f"it has more than {MOST} partitions")


def _slots(device: Device, offset: int, *, strict: bool = True) -> list[tuple[int, int, int]]:
    """(type, first sector, sectors) of the four slots; nothing but empty ones without the signature."""
    raw = _peek(device, offset, 512)
    if raw[510:] != b"\x55\xaa":
        return [(0, 0, 0)] * 4
    slots = []
    for at in range(446, 510, 16):
        if strict and raw[at] not in (0, 0x80):
            raise Corrupt("its partition table makes no sense")
        slots.append((raw[at + 4], *struct.unpack_from("<II", raw, at + 8)))
    return slots


def _peek(device: Device, offset: int, length: int) -> bytes:
    return device.read(offset, length) if offset + length <= device.size else b""
