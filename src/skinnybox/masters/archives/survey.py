"""What a tar holds: a root filesystem, a disk, an export of a pool, an image of containers.

Only in a confined process. Most of the time the first members tell, so that of a large packed archive only
the beginning is looked at.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from skinnybox.masters.archives.members import Member

_ROOT = frozenset(
    b"bin boot dev etc home lib lib32 lib64 libx32 media mnt opt proc root run sbin srv sys tmp usr "
    b"var".split()
)
_DISK = re.compile(rb".*\.(raw|img|qcow2?|vmdk|vdi|vhdx?)(\.(gz|xz|zst|bz2))?", re.IGNORECASE)
_OF_CONTAINERS = re.compile(rb"oci-layout|blobs/sha256(/.*)?|[0-9a-f]{64}(\.json|/.*)?", re.DOTALL)
_DESCRIBED = (b"manifest.json", b"index.json")
_OF_INCUS = b"rootfs.squashfs"
_BESIDE = (b"metadata.yaml", b"templates")
"""What Incus and LXD put beside the root filesystem."""
_MOST_NAMES = 8


@dataclass(slots=True, kw_only=True)
class Found:
    """`holds` is one of HOLDS. Of a tree, `prefix` are the first bytes of all its names; of a disk or a
    squashfs, `name` and `size`; else `names` are some of what is in it."""

    holds: str
    prefix: bytes = b""
    name: bytes = b""
    size: int = 0
    names: list[bytes] = field(default_factory=list)


HOLDS = ("tree", "disk", "disks", "xva", "containers", "squashfs", "nothing")


def survey(members: Iterable[Member]) -> Found:
    disks, names, described = list[Member](), list[bytes](), False
    for member in members:
        parts = member.parts
        if not parts:
            continue
        names += [parts[0]] if parts[0] not in names and len(names) < _MOST_NAMES else []
        described |= len(parts) == 1 and parts[0] in _DESCRIBED
        decided = _decided(member, parts)
        if decided:
            return decided
        if member.is_file and _DISK.fullmatch(parts[-1]) and len(disks) < _MOST_NAMES:
            disks.append(member)
    if len(disks) == 1:
        return Found(holds="disk", name=disks[0].name, size=disks[0].size)
    if not disks and described:
        return Found(holds="containers")
    return Found(holds="disks" if disks else "nothing", names=[disk.name for disk in disks] or names)


def _decided(member: Member, parts: list[bytes]) -> Found | None:
    """What this member alone says."""
    if parts[0] in _ROOT and not (len(parts) == 1 and member.is_file):
        return Found(holds="tree")
    if parts == [b"ova.xml"]:
        return Found(holds="xva")
    if parts == [_OF_INCUS]:
        return Found(holds="squashfs", name=member.name, size=member.size)
    if _OF_CONTAINERS.fullmatch(b"/".join(parts)):
        return Found(holds="containers")
    if len(parts) > 1 and parts[1] in _ROOT and not (len(parts) == 2 and member.is_file):
        before = member.name.index(parts[1], member.name.index(parts[0]) + len(parts[0]))
        return Found(holds="tree", prefix=member.name[:before])
    return None


def is_beside(parts: list[bytes]) -> bool:
    """Whether a member that is not in the one folder with the system may be left out without a word."""
    return parts[0] in _BESIDE or not parts
