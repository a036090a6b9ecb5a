"""By which names an fstab may call what lies on a disk. Only called in a confined process."""

import codecs
import struct
import uuid
from collections.abc import Iterator

from skinnybox.ext4.device import Device

_IDENTITIES = {
    "ext4": (0x468, 0x478, 16), "xfs": (32, 108, 12), "btrfs": (0x10020, 0x1012B, 256),
    "swap": (1036, 1052, 16),
}  # fmt: skip
"""Where the UUID lies (16 bytes), and where the label, and how long that is."""

_LUKS_UUID, _LUKS_LENGTH = 168, 40
_FAT32 = 82
_FAT = {True: (67, 71, 11), False: (39, 43, 11)}
_LONGEST = 256


def of_filesystem(device: Device, start: int, length: int, holds: str) -> Iterator[str]:
    """UUID=... (in small letters) and LABEL=..., as far as it has them and they are text."""
    if holds in _IDENTITIES:
        at, label, most = _IDENTITIES[holds]
        if label + most <= length:
            yield f"UUID={uuid.UUID(bytes=device.read(start + at, 16))}"
            yield from _named("LABEL", device.read(start + label, most).split(b"\0")[0])
    elif holds == "LUKS" and length >= _LUKS_UUID + _LUKS_LENGTH:
        text = device.read(start + _LUKS_UUID, _LUKS_LENGTH).split(b"\0")[0]
        yield from _named("UUID", text.lower())
    elif holds == "FAT" and length >= 512:
        yield from _of_fat(device.read(start, 512))


def of_gpt_entry(unique: bytes, name: bytes) -> Iterator[str]:
    """PARTUUID=... and PARTLABEL=... of the two fields of its entry."""
    yield f"PARTUUID={uuid.UUID(bytes_le=unique)}"
    # Not by its name: a confined process can open no file, and so load no codec.
    text = codecs.utf_16_le_decode(name, "replace", True)[0].split("\0")[0]
    yield from _named("PARTLABEL", text.encode())


def of_mbr_slot(signature: bytes, number: int) -> Iterator[str]:
    """The kernel makes a PARTUUID of the disk's signature, if it has one."""
    if len(signature) == 4 and any(signature):
        yield f"PARTUUID={struct.unpack('<I', signature)[0]:08x}-{number:02x}"


def _of_fat(boot: bytes) -> Iterator[str]:
    at, label, most = _FAT[boot[_FAT32 : _FAT32 + 5] == b"FAT32"]
    serial = struct.unpack_from("<I", boot, at)[0]
    yield f"UUID={serial >> 16:04x}-{serial & 0xFFFF:04x}"
    yield from _named("LABEL", boot[label : label + most].rstrip())


def _named(key: str, raw: bytes) -> Iterator[str]:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return
    if text and text.isprintable() and len(text) <= _LONGEST:
        yield f"{key}={text}"
