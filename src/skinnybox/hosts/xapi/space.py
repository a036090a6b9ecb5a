"""What disks cost on each type of SR, in bytes, and what an SR holds.

The formulas are the storage manager's for VHD (sm: LVHDSR.py, lvhdutil.py, vhdutil.py). They were read in its
source and compared with what is published of it, not with a real host.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skinnybox.sizes import GIB, KIB, MIB

FILES = frozenset(
    (
        "ext", "ext4", "nfs", "smb", "cifs", "file", "xfs", "zfs", "btrfs", "cephfs", "gluster", "glusterfs",
        "moosefs", "largeblock",
    )
)  # fmt: skip
VOLUMES = frozenset(["lvm", "lvmoiscsi", "lvmohba", "lvmofcoe"])
_BLOCK, _EXTENT = 2 * MIB, 4 * MIB
_TABLE_FOR = 2048 * GIB
"""Volumes hold a table for the largest disk, whatever their own size."""


LINSTOR = "linstor"
_NO_DISKS = frozenset(("iso", "udev", "hba", "rawhba", "rawiscsi", "dummy"))

Devices = Sequence[Mapping[str, str]]
"""An SR's device_config on every host that has it: LINSTOR keeps its settings there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one more machine, in bytes: `each` once it runs, `full` when its overlay is written full; the same
    of a VDI.clone of a system's disk. `guess`: nobody published how this type of SR counts."""

    each: int
    full: int
    clone: int
    clone_full: int
    guess: bool = False


def takes_disks(sr: Mapping[str, Any]) -> bool:
    return sr["type"] not in _NO_DISKS and sr["content_type"] != "iso"


def is_thin(sr: Mapping[str, Any], devices: Devices) -> bool:
    """Whether an overlay takes what is written, and not its size. LVM with allocation=thin is not: a volume
    is inflated to its whole size while it is attached for writing."""
    if sr["type"] == LINSTOR:
        return not any(each.get("provisioning") == "thick" for each in devices)
    return sr["type"] in FILES


def cost(sr: Mapping[str, Any], devices: Devices, overlay: int, system: int) -> Cost:
    """`overlay` and `system` are virtual sizes."""
    copies = max((int(e["redundancy"]) for e in devices if e.get("redundancy", "").isdecimal()), default=1)
    times = copies if sr["type"] == LINSTOR else 1
    full = file if sr["type"] in FILES else thick
    each = _overhead if is_thin(sr, devices) else thick
    return Cost(
        each=each(overlay) * times,
        full=full(overlay) * times,
        clone=each(system) * times,
        clone_full=full(system) * times,
        guess=sr["type"] not in FILES | VOLUMES,
    )


def file(size: int) -> int:
    """A VHD file of this virtual size, written full."""
    whole = _up(size, _BLOCK)
    return whole + _overhead(whole) + whole // _BLOCK * 4 * KIB


def thick(size: int) -> int:
    """The logical volume that holds a whole VHD of this virtual size."""
    whole = _up(size, _BLOCK)
    return _up(whole + _overhead(_TABLE_FOR) + whole // _BLOCK * 4 * KIB, _EXTENT)


def disk_size(size: int) -> int:
    """The virtual size a VHD gets: whole blocks."""
    return _up(size, _BLOCK)


def _overhead(size: int) -> int:
    """A VHD without data: its footers, header and tables."""
    mib = -(-size // MIB)
    table = _up(3 * KIB + mib // 2 * 4, 512)
    return _up(table + mib // 2 // 8, 4 * KIB)


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
