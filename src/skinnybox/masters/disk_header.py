"""What a disk image's own header says, and whether it may be converted: a whole disk in this one file.

Only called in a confined process. Formats that can name further files are read as QEMU's block drivers read
them, because what those would follow is what has to be refused: qcow2 (docs/interop/qcow2.txt), VMDK (block/
vmdk.c, the hosted sparse extent), VHD (block/vpc.c), VDI (block/vdi.c), VHDX (vhdx.py).
"""

import re
import struct
from collections.abc import Callable, Iterator

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.ext4.device import Device
from skinnybox.masters.vhdx import read_vhdx

FORMATS = ("qcow2", "raw", "vdi", "vhd", "vhdx", "vmdk")
LARGEST = 8 << 40
"""Bytes of a disk: more is refused."""

_SECTOR = 512
_OTHERS = (
    (0, b"QED\0", "a QED image"), (0, b"COWD", "an old VMDK image"), (0x8001, b"CD001", "a CD-ROM image"),
    (0, b"\xfd7zXZ\0", "compressed with xz"), (0, b"\x1f\x8b", "compressed with gzip"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd"), (0, b"PK\x03\x04", "a zip archive"),
    (0, b"WithoutFreeSpace", "a Parallels image"), (0, b"WithouFreSpacExt", "a Parallels image"),
    (257, b"ustar", "a tar without a tar's name"),
)  # fmt: skip
_CONVERT = "`qemu-img convert -O qcow2` makes of most images one that can be imported"


def examine(device: Device, told: str | None) -> tuple[str, int]:
    """(format, bytes of the disk in it). `told` is the format when the caller knows; else the magic tells.

    Raises Unsupported for what would lead to other files, Corrupt for what makes no sense.
    """
    name = told or _by_magic(device)
    size = _SIZES[name](device)
    if not _SECTOR <= size <= LARGEST:
        raise Corrupt(f"a disk of {size} bytes makes no sense")
    return name, size


def is_fixed_vhd(device: Device) -> bool:
    """Whether it is a plain disk with a footer."""
    return _at(device, 0, 8) != b"conectix"


def _by_magic(device: Device) -> str:
    head = _at(device, 0, 8)
    if head[:4] == b"QFI\xfb":
        return "qcow2"
    if head[:4] == b"KDMV":
        return "vmdk"
    if head == b"vhdxfile":
        return "vhdx"
    if _at(device, 0x40, 4) == _VDI_MAGIC:
        return "vdi"
    if head == b"conectix" or _at(device, device.size - _SECTOR, 8) == b"conectix":
        return "vhd"
    if head == b"# Disk D":
        raise _leads_elsewhere("its disk lies in other files, named in this one")
    for offset, magic, what in _OTHERS:
        if _at(device, offset, len(magic)) == magic:
            raise Unsupported(f"it is {what}, not a disk image that can be imported", hint=_CONVERT)
    return "raw"


def _raw(device: Device) -> int:
    return device.size


def _qcow2(device: Device) -> int:
    head = _at(device, 0, 104).ljust(104, b"\0")
    magic, version, backing, _, cluster_bits, size, encrypted = struct.unpack_from(">4sIQIIQI", head)
    if magic != b"QFI\xfb":
        raise Corrupt("it is no qcow2 image")
    if version not in (2, 3):
        raise Unsupported(f"it is qcow2 of version {version}", hint="qemu-img convert makes it version 3")
    if backing:
        raise _leads_elsewhere("it has a backing file")
    if encrypted:
        raise Unsupported("it is encrypted", hint="qemu-img convert makes it plain")
    if not 9 <= cluster_bits <= 21:
        raise Corrupt(f"qcow2 clusters of 2^{cluster_bits} bytes make no sense")
    features, length = (
        (0, 72) if version == 2 else (_qcow2_features(head), struct.unpack_from(">I", head, 100)[0])
    )
    if features & ~0x1F:
        raise Unsupported(f"it uses qcow2 features that are not known ({features:#x})", hint=_CONVERT)
    if features & 0x2:
        raise Corrupt("it is marked corrupt", hint="qemu-img check -r all mends what can be mended")
    for kind in _qcow2_extensions(device, length, 1 << cluster_bits):
        if kind == 0x44415441:
            raise _leads_elsewhere("its data lies in an external data file")
        if kind == 0x0537BE77:
            raise Unsupported("it is encrypted (LUKS)", hint="qemu-img convert makes it plain")
    return int(size)


def _qcow2_features(head: bytes) -> int:
    incompatible, _, autoclear = struct.unpack_from(">QQQ", head, 72)
    if incompatible & 0x4 or autoclear & 0x2:
        raise _leads_elsewhere("its data lies in an external data file")
    return int(incompatible)


def _qcow2_extensions(device: Device, start: int, cluster: int) -> Iterator[int]:
    end = min(cluster, device.size)
    while start + 8 <= end:
        kind, length = struct.unpack(">II", device.read(start, 8))
        if not kind:
            return
        if start + 8 + length > end:
            raise Corrupt("a qcow2 header extension runs out of its cluster")
        yield kind
        start += 8 + (length + 7) // 8 * 8


_VMDK = struct.Struct("<4sIIQQQQIQQQ?4sH")
_VMDK_TEXT = 20 * _SECTOR
_VMDK_KINDS = ("monolithicsparse", "streamoptimized")
_VMDK_EXTENT = re.compile(r"(?:RW|RDONLY|NOACCESS)\s+[0-9]+\s+([A-Z0-9]+)\b.*")
_AT_END = (1 << 64) - 1


def _vmdk(device: Device) -> int:
    head = _at(device, 0, _VMDK.size)
    if len(head) < _VMDK.size or head[:4] != b"KDMV":
        if head[:8] == b"# Disk D":
            raise _leads_elsewhere("its disk lies in other files, named in this one")
        raise Corrupt("it is no VMDK image")
    _, version, _, capacity, _, text_at, text_length, _, _, tables_at, _, _, _, _ = _VMDK.unpack(head)
    # QEMU takes a capacity of 0 to mean that the text inside names the files to open.
    if not capacity:
        raise _leads_elsewhere("its disk lies in other files, named in this one")
    if version > 3 or text_at not in (0, 1) or text_length > 20:
        raise Unsupported("it is a VMDK of an unknown kind", hint=_CONVERT)
    if tables_at == _AT_END:
        footer = device.read(device.size - 2 * _SECTOR, _VMDK.size)
        if footer[:4] != b"KDMV" or _VMDK.unpack(footer)[3] != capacity:
            raise Corrupt("its footer is not like its header")
    _vmdk_text(_at(device, _SECTOR, _VMDK_TEXT).split(b"\0")[0], _at(device, 0, _SECTOR + _VMDK_TEXT))
    return int(capacity) * _SECTOR


def _vmdk_text(raw: bytes, whole: bytes) -> None:
    # QEMU looks for this word alone, whatever the identifiers of parent and child say.
    if b"parentfilenamehint" in whole.lower():
        raise _leads_elsewhere("it has a parent")
    text = raw.decode("utf-8", "replace")
    settings = dict(re.findall(r"^\s*(\w+)\s*=\s*\"?([^\"\n\r]*)\"?", text.lower(), re.MULTILINE))
    if settings.get("parentcid", "ffffffff") != "ffffffff":
        raise _leads_elsewhere("it has a parent")
    kind = settings.get("createtype", _VMDK_KINDS[0])
    extents = [found[1] for found in map(_VMDK_EXTENT.fullmatch, map(str.strip, text.splitlines())) if found]
    if kind not in _VMDK_KINDS or len(extents) > 1 or any(extent != "SPARSE" for extent in extents):
        raise _leads_elsewhere(f"it is of the kind {kind[:40]} with {len(extents)} extents")


_VHD = struct.Struct(">8sIIQI4sI4sQQHBBI")
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4


def _vhd(device: Device) -> int:
    first = _at(device, 0, 8) == b"conectix"
    footer = _at(device, 0 if first else device.size - _SECTOR, _SECTOR)
    if len(footer) < _SECTOR or footer[:8] != b"conectix":
        raise Corrupt("it is no VHD image")
    *_, current, cylinders, heads, sectors, kind = _VHD.unpack_from(footer)
    if kind == _DIFFERENCING:
        raise _leads_elsewhere("it is a differencing disk")
    if kind != (_DYNAMIC if first else _FIXED):
        raise Corrupt(f"a VHD of type {kind} makes no sense")
    if not first:
        return device.size - _SECTOR
    # Creators mean one or the other, and QEMU decides by the creator's name: room for both.
    return int(max(current, cylinders * heads * sectors * _SECTOR))


_VDI_MAGIC = b"\x7f\x10\xda\xbe"
_WHOLE = (1, 2)
"""Kinds of a VDI: those that grow and those that do not; the others belong to another one."""


def _vdi(device: Device) -> int:
    head = _at(device, 0, _SECTOR)
    if len(head) < _SECTOR or head[0x40:0x44] != _VDI_MAGIC:
        raise Corrupt("it is no VDI image")
    version, _, kind = struct.unpack_from("<III", head, 0x44)
    if version != 0x10001:
        raise Unsupported(f"it is a VDI of version {version:#x}", hint=_CONVERT)
    if kind not in _WHOLE or any(head[0x1A8:0x1C8]):
        raise _leads_elsewhere("it is a differencing disk")
    (size,) = struct.unpack_from("<Q", head, 0x170)
    return -(-int(size) // _SECTOR) * _SECTOR


def _vhdx(device: Device) -> int:
    if _at(device, 0, 8) != b"vhdxfile":
        raise Corrupt("it is no VHDX image")
    found = read_vhdx(device)
    if found.differencing:
        raise _leads_elsewhere("it is a differencing disk")
    return found.size


_SIZES: dict[str, Callable[[Device], int]] = {
    "qcow2": _qcow2, "vmdk": _vmdk, "vhd": _vhd, "raw": _raw, "vdi": _vdi, "vhdx": _vhdx
}  # fmt: skip


def _at(device: Device, offset: int, length: int) -> bytes:
    """What there is of it."""
    if not 0 <= offset < device.size:
        return b""
    return device.read(offset, min(length, device.size - offset))


def _leads_elsewhere(what: str) -> Unsupported:
    return Unsupported(
        f"{what}: an image must be whole in one file",
        hint="`qemu-img convert -O qcow2` on the machine it comes from makes one of it",
    )
