"""What a virtual disk costs on each type of storage, in bytes, by the storage manager's formulas (VHD)."""

from dataclasses import dataclass

MIB = 1 << 20
BLOCK = 2 * MIB
EXTENT = 4 * MIB
LARGEST = 2040 << 30
_PREALLOCATED_FOR = 2 << 40


def round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def empty_overhead(size: int) -> int:
    """A VHD without data: footers, header, allocation table, bitmap of the table."""
    mib = size // MIB
    table = round_up(3 * 1024 + mib // 2 * 4, 512)
    return round_up(table + mib // 2 // 8, 4096)


def bitmaps(size: int) -> int:
    return -(-size // BLOCK) * 4096


def thick_volume(size: int) -> int:
    """The logical volume of a whole VHD; its table is always that of the largest disk."""
    return round_up(size + empty_overhead(_PREALLOCATED_FOR) + bitmaps(size), EXTENT)


THIN_VOLUME = round_up(empty_overhead(_PREALLOCATED_FOR), EXTENT)
"""The logical volume of an empty VHD that was never attached for writing."""

_FILE = ["VDI_CREATE", "VDI_DELETE", "VDI_ATTACH", "VDI_DETACH", "VDI_CLONE", "VDI_SNAPSHOT", "VDI_RESIZE"]
_FILE += ["VDI_MIRROR", "VDI_CONFIG_CBT", "VDI_UPDATE", "SR_PROBE", "SR_UPDATE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A type of SR: `thin` spends what is written, `lvm` deals in volumes, `features` as SM says them."""

    type: str
    thin: bool
    lvm: bool = False
    features: tuple[str, ...] = tuple(_FILE)


def _storages() -> dict[str, Storage]:
    thin = (*_FILE, "VDI_RESET_ON_BOOT/2", "THIN_PROVISIONING")
    thick = (*_FILE, "VDI_RESET_ON_BOOT/2")
    found = [
        Storage(type=name, thin=True, features=thin) for name in ("ext", "nfs", "smb", "file", "xfs", "zfs")
    ]
    found += [
        Storage(type=name, thin=False, lvm=True, features=thick) for name in ("lvm", "lvmoiscsi", "lvmohba")
    ]
    found.append(Storage(type="linstor", thin=True))
    iso = ("VDI_CREATE", "VDI_DELETE", "VDI_ATTACH", "VDI_DETACH", "SR_PROBE")
    found.append(Storage(type="iso", thin=True, features=iso))
    return {each.type: each for each in found}


STORAGES = _storages()


def taken(storage: Storage, *, size: int, written: int, raw: bool, snapshot: bool, attached: bool) -> int:
    """What one disk takes. `written` is its own data, `attached`: for writing, `snapshot`: it is one.

    On `lvm` with thin allocation a disk is small while nobody has it attached for writing.
    """
    if raw:
        return round_up(size, EXTENT) if storage.lvm else written
    if not storage.lvm:
        used = round_up(written, BLOCK)
        return empty_overhead(size) + used + bitmaps(used)
    small = snapshot or (storage.thin and not attached)
    return THIN_VOLUME if small else thick_volume(size)
