"""A tree whose services OpenRC starts (Alpine, Gentoo, Artix; Debian has it as well), below any init."""

from pathlib import Path

from skinnybox.masters import inside
from skinnybox.masters.fitting.own import source

_LEVELS = "etc/runlevels"
_SERVICES = {"openrc": ("skinnybox", "default"), "openrc-settle": ("skinnybox-settle", "shutdown")}
"""What is where in guest/inits: its name here, and when it is started. Going down, for a reboot as well,
OpenRC starts what belongs to `shutdown`."""


def is_there(tree: Path, init: str) -> bool:
    if init == "openrc-init":
        return True
    folders = ("sbin", "usr/sbin", "usr/bin", "bin")
    return (
        init in ("init", "busybox")
        and inside.is_folder(tree, _LEVELS)
        and any(inside.exists(tree, f"{folder}/openrc") for folder in folders)
    )


def fit(tree: Path) -> None:
    for name, (service, level) in _SERVICES.items():
        inside.put(tree, f"etc/init.d/{service}", source(name), 0o755)
        inside.link(tree, f"{_LEVELS}/{level}/{service}", f"/etc/init.d/{service}")


def remove(tree: Path) -> None:
    for service, level in _SERVICES.values():
        inside.remove(tree, f"{_LEVELS}/{level}/{service}")
        inside.remove(tree, f"etc/init.d/{service}")
