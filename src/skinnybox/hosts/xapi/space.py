"""What disks cost on each type of SR, in bytes, and what an SR holds.

The formulas are the storage manager's for VHD (sm: LVHDSR.py, lvhdutil.py, vhdutil.py). They were read in its
source and compared with what is published of it, not with a real host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skinnybox.sizes import GIB, KIB, MIB

FILES = frozenset(
    [
        "ext",
        "nfs",
        "smb",
        "cifs",
        "file",
        "xfs",
        "zfs",
        "cephfs",
        "gluster",
        "glusterfs",
        "moosefs",
        "largeblock",
        "ext4",
    ]
)
VOLUMES = frozenset(["lvm", "lvmoiscsi", "lvmohba", "lvmofcoe"])
_BLOCK, _EXTENT = 2 * MIB, 4 * MIB
_TABLE_FOR = 2048 * GIB
"""Volumes hold a table for the largest disk, whatever their own size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one more machine: its `overlay`, and what a VDI.clone of the master would have taken instead. Where
    space is only taken when it is written, `thin`, that is what it takes before its first start."""

    overlay: int
    clone: int
    thin: bool


def is_thin(sr: Mapping[str, Any]) -> bool:
    """Whether an overlay takes what is written, and not its size."""
    kind = sr["type"]
    if kind == "linstor":
        return bool(sr["sm_config"].get("allocation", "thin") == "thin")
    return kind in FILES


def cost(sr: Mapping[str, Any], overlay: int, master: int) -> Cost:
    """`overlay` and `master` are virtual sizes. LINSTOR multiplies all by its redundancy, which it hides."""
    if is_thin(sr):
        return Cost(overlay=_overhead(overlay), clone=_overhead(master), thin=True)
    return Cost(overlay=thick(overlay), clone=thick(master), thin=False)


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
