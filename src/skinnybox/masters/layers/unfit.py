"""What no layer may hold: what is a system's, of which there is one, and what would hide what is below."""

import os
import stat

from skinnybox.errors import Unsupported
from skinnybox.printable import printable_path

_RECIPE = "have it installed by a recipe, in a master of its own: `skinnybox master build NAME --recipe FILE`"
_PACKAGES = tuple(
    path.encode()
    for path in (
        "var/lib/dpkg", "var/lib/apt/extended_states", "var/lib/rpm", "usr/lib/sysimage/rpm", "var/lib/dnf",
        "lib/apk/db", "usr/lib/apk/db", "var/lib/pacman",
    )
)  # fmt: skip
_ACCOUNTS = tuple(
    f"etc/{name}{end}".encode()
    for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
    for end in ("", "-")
)
_SYSTEMS = tuple(
    path.encode()
    for path in (
        "boot", "dev", "proc", "run", "sys", "lib/modules", "usr/lib/modules", "etc/ld.so.cache", "etc/fstab",
        "etc/machine-id", "etc/hostname", "media/root-ro", "media/root-rw", "usr/lib/skinnybox",
        "var/lib/skinnybox",
    )
)  # fmt: skip
_HOST_KEYS = b"etc/ssh/ssh_host_"
_MARKS = ("trusted.overlay.", "user.overlay.")
_CONTAINERS = b".wh."


def refuse(tree: bytes, path: bytes, info: os.stat_result) -> None:
    """Unsupported for one name of a tree that is to be a layer, with what to do instead."""
    if path in _PACKAGES or (path in _ACCOUNTS):
        what = "the packages" if path in _PACKAGES else "the accounts"
        raise _unfit(
            path, f"{what} of a machine are written down in one place, and a layer hides it", _RECIPE
        )
    if path in _SYSTEMS or path.startswith(_HOST_KEYS):
        raise _unfit(path, "that is the master's, or each machine's own", "leave it out")
    if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        raise _unfit(path, "it is a device, which a guest makes itself, or the mark of a deletion",
                     "leave it out: a layer only adds")  # fmt: skip
    if path.rpartition(b"/")[2].startswith(_CONTAINERS):
        raise _unfit(path, "it is the mark of a deletion in an image of containers",
                     "unpack that whole (`podman export`), and import what is to be added")  # fmt: skip
    marks = [name for name in os.listxattr(tree + b"/" + path, follow_symlinks=False)
             if name.startswith(_MARKS)]  # fmt: skip
    if marks:
        raise _unfit(path, f"it has the attribute {marks[0]}, by which overlayfs hides what is below",
                     "copy the tree from where it is mounted, not from an upper directory")  # fmt: skip


def _unfit(path: bytes, why: str, hint: str) -> Unsupported:
    return Unsupported(f"/{printable_path(path)} cannot be in a layer: {why}", hint=hint)
