"""Which init a tree has: what is put there to start our services, and to settle the disk at power off."""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import Unsupported
from skinnybox.masters import inside
from skinnybox.masters.fitting import inittab, openrc, systemd, upstart
from skinnybox.masters.fitting.own import HOME, source

_PLACES = ("sbin/init", "usr/sbin/init", "usr/bin/init", "bin/init", "etc/init")
_MOST_LINKS = 8
_PROGRAMS = ("after-boot", "before-init", "settle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """`has` gets the tree and what its init is (see `_what_init_is`); `fit` is idempotent, and `remove` takes
    out all that `fit` put there."""

    name: str
    has: Callable[[Path, str], bool]
    fit: Callable[[Path], None]
    remove: Callable[[Path], None]


INITS = (
    Init(name="openrc", has=openrc.is_there, fit=openrc.fit, remove=openrc.remove),
    Init(name="inittab", has=inittab.is_there, fit=inittab.fit, remove=inittab.remove),
    Init(name="upstart", has=upstart.is_there, fit=upstart.fit, remove=upstart.remove),
    Init(name="systemd", has=systemd.is_there, fit=systemd.fit, remove=systemd.remove),
)
"""In this order: OpenRC is often started by an inittab, upstart's trees may still have one, and systemd is
there in trees that something else starts."""


def fit(tree: Path) -> str:
    """The name of the tree's init. Unsupported for one that nobody knows."""
    program = _what_init_is(tree)
    found = next((init for init in INITS if init.has(tree, program)), None)
    if found is None:
        raise Unsupported(
            "none of systemd, sysvinit, OpenRC, upstart and busybox's init with an inittab starts the tree: "
            + (f"its /sbin/init is {program}" if program else "it has no /sbin/init"),
            hint="put one of them into it (in Debian the package systemd-sysv or sysvinit-core)",
        )
    for init in INITS:
        if init is not found:
            init.remove(tree)
    for name in _PROGRAMS:
        if found.name == "systemd":
            inside.remove(tree, f"{HOME}/{name}")
        else:
            inside.put(tree, f"{HOME}/{name}", source(name), 0o755)
    found.fit(tree)
    return found.name


def _what_init_is(tree: Path) -> str:
    """The last part of the name of the program that /sbin/init is: `init` when that is no symlink to another.
    "" when there is none. Where its symlinks lead is not looked at: it may be nothing of the tree's."""
    path = next((place for place in _PLACES if _is_program(tree, place)), "")
    for _ in range(_MOST_LINKS):
        target = inside.link_target(tree, path)
        if target is None:
            break
        path = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target)).lstrip("/")
    return posixpath.basename(path)


def _is_program(tree: Path, path: str) -> bool:
    return inside.read(tree, path, 1) is not None or inside.link_target(tree, path) is not None
