"""Which part of a disk image a line of the fstab means."""

import re
from collections.abc import Sequence

from skinnybox.masters.disk_parts import DiskPart
from skinnybox.masters.filesystem_table import Entry, Tables
from skinnybox.masters.mounts import Found, Locate, is_mapped

_BY = {"by-uuid": "UUID", "by-label": "LABEL", "by-partuuid": "PARTUUID", "by-partlabel": "PARTLABEL"}
_NAME = re.compile(r"(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)")
_UDEV = re.compile(r"\\x([0-9a-f]{2})")
_DEVICE = re.compile(r"/dev/((?:[shv]d|xvd)[a-z]+|(?:nvme\d+n|mmcblk)\d+(?=p|$))p?(\d*)")
"""The kernel's name of a disk, and the number of a partition."""
_FIRST = frozenset({"sda", "hda", "vda", "xvda", "nvme0n1", "mmcblk0"})


def locator(tables: Tables, parts: Sequence[DiskPart], root: DiskPart, beside: int = 0) -> Locate:
    """Finds a line's filesystem among the parts of the image that has the root; so many disks `beside` it
    are not looked at."""
    encrypted = {mapping.device for mapping in tables.mappings}
    ours = _our_disks(tables, root)

    def locate(entry: Entry) -> Found:
        if entry.source in encrypted:
            return Found(why_not=f"{entry.source} is encrypted, as its crypttab says")
        found = _named(entry.source, parts, ours)
        if not found and entry.place == "/boot":
            found = [part for part in parts if part.kernel and not part.system and part is not root]
        if len(found) == 1:
            return _usable(found[0], root)
        if found:
            return Found(why_not=f"{' and '.join(part.name for part in found[:5])} are all {entry.source}")
        return Found(why_not=_missing(entry.source, parts, beside))

    return locate


def _our_disks(tables: Tables, root: DiskPart) -> frozenset[str]:
    """What the kernel called this disk: as the root's line says, or any name of a first disk. A root's line
    that names another partition than the root's is of another time: no such name is believed then."""
    line = tables.at("/")
    device = _DEVICE.fullmatch(line.source) if line else None
    if device is None:
        return _FIRST
    return frozenset({device[1]}) if int(device[2] or 0) == root.number else frozenset()


def _named(source: str, parts: Sequence[DiskPart], ours: frozenset[str]) -> list[DiskPart]:
    device = _DEVICE.fullmatch(source)
    if device:
        number = int(device[2] or 0) if device[1] in ours else -1
        return [part for part in parts if part.number == number]
    name = _normal(source)
    return [part for part in parts if any(_normal(known) == name for known in part.names)]


def _normal(source: str) -> str:
    """A name as KEY=VALUE: UUIDs in small letters, the links of udev as what they mean."""
    if source.startswith("/dev/disk/"):
        by, _, value = source.removeprefix("/dev/disk/").partition("/")
        if by in _BY:
            source = f"{_BY[by]}={_unescaped(value)}"
    found = _NAME.fullmatch(source)
    if found is None:
        return source
    key, value = found[1], found[2].strip("\"'")
    return f"{key}={value.lower() if key.endswith('UUID') else value}"


def _unescaped(value: str) -> str:
    raw = _UDEV.sub(lambda found: chr(int(found[1], 16)), value)
    try:
        return raw.encode("latin-1").decode()
    except UnicodeError:
        return raw


def _usable(part: DiskPart, root: DiskPart) -> Found:
    if part is root:
        return Found(part=part, why_not=f"{part.name} is the root itself")
    if part.holds != "ext4":
        what = part.holds or "nothing that is known"
        return Found(part=part, why_not=f"{part.name} holds {what}, and only ext4 can be read")
    if part.unknown:
        return Found(part=part, why_not=f"{part.name}: {part.flaw}")
    return Found(part=part)


def _missing(source: str, parts: Sequence[DiskPart], beside: int) -> str:
    if is_mapped(source):
        return f"{source} is a volume of LVM or another mapping"
    if source.startswith("/dev/md"):
        return f"{source} is a RAID"
    around = [part for part in parts if part.holds in ("LVM", "LUKS", "RAID", "bcache")]
    told = ", ".join(f"{part.name} holds {part.holds}" for part in around[:5])
    where = f"the disk that boots, the only one of {beside + 1} that is read" if beside else "this image"
    return f"{source} is not on {where}" + (f" ({told})" if told else "")
