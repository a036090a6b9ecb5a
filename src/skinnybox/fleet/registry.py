"""Which host an address means, and the fleet on it. The only place of the fleet that knows the hosts there
are."""

from collections.abc import Callable
from pathlib import Path

from skinnybox.fleet import trust
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.host_kind import FAKE, QEMU, XAPI
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Confinement, Settings
from skinnybox.hosts.base import Host
from skinnybox.hosts.events import Thresholds
from skinnybox.hosts.preferences import Preferences
from skinnybox.sandbox import confinement

_ELSEWHERE = 8
"""Machines on their way up at once where it is not this machine's cores that bear it."""


def open_host(
    address: str, folder: Path, preferences: Preferences | None = None, *, repairing: bool = False
) -> Host:
    """The kinds are those of host_kind.py. Raises UsageError; Blocked when the machines there are on another
    kind, or the folder is not ours alone; Corrupt, unless for `repairing`, when nobody can read which
    kind that is. `preferences` hold for the machines started from now on."""
    kind = host_kind.kind_of(address)
    trust.refuse_others(folder)
    host_kind.refuse_other(folder, kind, repairing=repairing)
    return _OPENERS[kind.name](address, folder, preferences or Preferences())


def _qemu(_: str, folder: Path, preferences: Preferences) -> Host:
    from skinnybox.hosts.qemu.host import QemuHost

    return QemuHost(folder, preferences)


def _fake(_: str, folder: Path, __: Preferences) -> Host:
    from skinnybox.hosts.fake.host import FakeHost

    return FakeHost(folder)


def _xapi(address: str, folder: Path, preferences: Preferences) -> Host:
    from skinnybox.hosts.xapi.host import open_pool

    return open_pool(address, folder, preferences)


_OPENERS: dict[str, Callable[[str, Path, Preferences], Host]] = {
    QEMU.name: _qemu,
    FAKE.name: _fake,
    XAPI.name: _xapi,
}


def preferences(settings: Settings) -> Preferences:
    """What the settings say of hosts."""
    return Preferences(
        thresholds=Thresholds(warning=settings.overlay_warning, critical=settings.overlay_critical),
        acceleration=settings.accelerator,
        reach=settings.reach,
    )


def open_fleet(settings: Settings, *, repairing: bool = False) -> Fleet:
    confinement.allow_weak(settings.confinement is Confinement.WEAK)
    host = open_host(settings.host, settings.state, preferences(settings), repairing=repairing)
    elsewhere = host_kind.kind_of(settings.host).bears_more and settings.parallel is None
    at_once = max(_ELSEWHERE, settings.boots_at_once) if elsewhere else settings.boots_at_once
    return Fleet(settings.state, host, boots_at_once=at_once, accelerator=settings.accelerator)
