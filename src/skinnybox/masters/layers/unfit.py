"""What no layer may hold: what is a system's, of which there is one, and what would hide what is below."""

import os
import stat
from dataclasses import dataclass

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
_WRITTEN = "of a machine are written down in one place, and a layer hides it"
_MARKS = ("trusted.overlay.", "user.overlay.")
_CONTAINERS = b".wh."


@dataclass(frozen=True, slots=True)
class Unfit:
    """`path` is what no layer may hold, `kind` one word for what it is, `hint` what to do instead."""

    path: bytes
    kind: str
    why: str
    hint: str

    def error(self) -> Unsupported:
        return Unsupported(f"/{printable_path(self.path)} cannot be in a layer: {self.why}", hint=self.hint)


def by_name(path: bytes) -> Unfit | None:
    """Of a path that is, or lies below, what is a system's."""
    end = 0
    while end != -1:
        end = path.find(b"/", end + 1)
        found = _named(path if end == -1 else path[:end])
        if found is not None:
            return found
    return None


def device(path: bytes) -> Unfit:
    return Unfit(path, "device", "it is a device, which a guest makes itself, or the mark of a deletion",
                 "leave it out: a layer only adds")  # fmt: skip


def _named(path: bytes) -> Unfit | None:
    if path in _PACKAGES:
        return Unfit(path, "packages", f"the packages {_WRITTEN}", _RECIPE)
    if path in _ACCOUNTS:
        return Unfit(path, "accounts", f"the accounts {_WRITTEN}", _RECIPE)
    if path in _SYSTEMS or path.startswith(_HOST_KEYS):
        return Unfit(path, "system", "that is the master's, or each machine's own", "leave it out")
    return None


def refuse(tree: bytes, path: bytes, info: os.stat_result) -> None:
    """Unsupported for one name of a tree that is to be a layer, with what to do instead."""
    found = _named(path)
    if found is None and (stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode)):
        found = device(path)
    if found is not None:
        raise found.error()
    if path.rpartition(b"/")[2].startswith(_CONTAINERS):
        why = "it is the mark of a deletion in an image of containers"
        hint = "unpack that whole (`podman export`), and import what is to be added"
        raise Unfit(path, "mark", why, hint).error()
    marks = [name for name in os.listxattr(tree + b"/" + path, follow_symlinks=False)
             if name.startswith(_MARKS)]  # fmt: skip
    if marks:
        why = f"it has the attribute {marks[0]}, by which overlayfs hides what is below"
        hint = "copy the tree from where it is mounted, not from an upper directory"
        raise Unfit(path, "mark", why, hint).error()
