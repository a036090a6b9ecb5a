"""Which host a name means, and the fleet on it."""

from pathlib import Path

from skinnybox.errors import UsageError
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.hosts.base import Host


def open_host(name: str, folder: Path) -> Host:
    """`qemu`: this machine. `memory`: pretended machines, to try the commands with. Raises UsageError."""
    if name == "qemu":
        from skinnybox.hosts.qemu.host import QemuHost

        return QemuHost(folder)
    if name == "memory":
        from skinnybox.hosts.memory import MemoryHost

        return MemoryHost(folder)
    raise UsageError(f"{name!r} is no kind of host", hint="qemu or memory")


def open_fleet(settings: Settings) -> Fleet:
    return Fleet(
        settings.state, open_host(settings.host, settings.state), boots_at_once=settings.boots_at_once
    )
