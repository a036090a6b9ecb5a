"""Which host a name means, and the fleet on it."""

from pathlib import Path

from skinnybox.errors import UsageError
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.hosts.base import Host
from skinnybox.hosts.events import DEFAULT_THRESHOLDS, Thresholds

_ELSEWHERE = 8
"""Machines on their way up at once where it is not this machine's cores that bear it."""


def open_host(
    name: str, folder: Path, thresholds: Thresholds = DEFAULT_THRESHOLDS, *, look: bool = True
) -> Host:
    """`qemu`: this machine. `memory`: pretended machines, to try the commands with. `xapi://USER@POOL`: a
    pool of XenServer or XCP-ng hosts. Raises UsageError; Blocked when the machines there are on another kind.

    `thresholds` hold for the machines that are started from now on. With `look` they are ready when they have
    been reached, not when their guests say so.
    """
    kind = "xapi" if name.startswith("xapi:") else name
    if kind not in _KINDS:
        raise UsageError(f"{name!r} is no kind of host", hint="qemu, memory, or xapi://USER@POOL")
    host_kind.refuse_other(folder, kind)
    return _KINDS[kind](name, folder, thresholds, look)


def _qemu(_: str, folder: Path, thresholds: Thresholds, look: bool) -> Host:
    from skinnybox.hosts.qemu.host import QemuHost

    return QemuHost(folder, thresholds, look=look)


def _memory(_: str, folder: Path, __: Thresholds, ___: bool) -> Host:
    from skinnybox.hosts.fake.host import MemoryHost

    return MemoryHost(folder)


def _xapi(name: str, folder: Path, thresholds: Thresholds, look: bool) -> Host:
    from skinnybox.hosts.xapi.host import open_pool

    return open_pool(name, folder, thresholds, look=look)


_KINDS = {"qemu": _qemu, "memory": _memory, "xapi": _xapi}


def open_fleet(settings: Settings) -> Fleet:
    thresholds = Thresholds(warning=settings.overlay_warning, critical=settings.overlay_critical)
    host = open_host(settings.host, settings.state, thresholds, look=settings.reach)
    elsewhere = settings.host.startswith("xapi:") and settings.parallel is None
    at_once = max(_ELSEWHERE, settings.boots_at_once) if elsewhere else settings.boots_at_once
    return Fleet(settings.state, host, boots_at_once=at_once, accelerator=settings.accelerator)
