"""Which host a name means, and the fleet on it."""

from pathlib import Path

from skinnybox.errors import UsageError
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.hosts.base import Host
from skinnybox.hosts.events import DEFAULT_THRESHOLDS, Thresholds


def open_host(name: str, folder: Path, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Host:
    """`qemu`: this machine. `memory`: pretended machines, to try the commands with. Raises UsageError.

    `thresholds` hold for the machines that are started from now on.
    """
    if name == "qemu":
        from skinnybox.hosts.qemu.host import QemuHost

        return QemuHost(folder, thresholds)
    if name == "memory":
        from skinnybox.hosts.memory import MemoryHost

        return MemoryHost(folder)
    raise UsageError(f"{name!r} is no kind of host", hint="qemu or memory")


def open_fleet(settings: Settings) -> Fleet:
    thresholds = Thresholds(warning=settings.overlay_warning, critical=settings.overlay_critical)
    host = open_host(settings.host, settings.state, thresholds)
    return Fleet(settings.state, host, boots_at_once=settings.boots_at_once)
