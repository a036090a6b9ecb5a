"""The system in a machine, read through its overlay; where that has nothing of its own, the master's."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from skinnybox.delta.rebase.merged_source import Merged
from skinnybox.delta.rebase.packages import Settled
from skinnybox.masters.accounts import GROUP, PASSWD
from skinnybox.masters.system import dpkg
from skinnybox.masters.system.accounts import read_accounts
from skinnybox.masters.system.gather import files_of, read_packages, read_release
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Notes, bytes_of, content, lines
from skinnybox.masters.system.units import units
from skinnybox.masters.system.values import Package, System

_OF_PACKAGES = (dpkg.FOLDER, "lib/apk", "usr/lib/apk", "var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
_OF_RELEASE = ("etc/os-release", "usr/lib/os-release")
_OF_UNITS = (
    "etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system", "etc/runlevels",
    *(f"etc/rc{level}.d" for level in "2345"),
)  # fmt: skip
_SUM = re.compile(r"([0-9a-f]{32})  (.{1,4000})")
_SUMS_LIMIT = 16 << 20


def system_of(source: Merged, old: System, notes: Notes) -> System:
    """What is not understood is left out, and noted."""
    found = old
    if not same_packages(source):
        manager, packages = read_packages(source, notes)
        found = replace(
            found,
            manager=manager,
            packages=None if packages is None else tuple(packages),
            diversions=tuple(dpkg.diversions(source, notes)),
        )
    if not all(map(source.untouched, (PASSWD, GROUP))):
        found = replace(found, accounts=read_accounts(source, notes))
    if not all(map(source.untouched, _OF_UNITS)):
        found = replace(found, units=tuple(units(source, notes)))
    if not all(map(source.untouched, _OF_RELEASE)):
        found = replace(found, release=read_release(source))
    return replace(found, trouble=tuple(notes.told))


def same_packages(source: Merged) -> bool:
    """Whether it has its master's packages, whatever those are."""
    return all(map(source.untouched, _OF_PACKAGES))


def same_system(source: Merged) -> bool:
    """Whether `system_of` would tell what the master's system is."""
    return same_packages(source) and all(map(source.untouched, (PASSWD, GROUP, *_OF_UNITS, *_OF_RELEASE)))


def touched(packages: Mapping[str, Settled]) -> dict[str, Package]:
    """Those that are in the machine and whose files have to be known, by name."""
    found = {name: each.versions.machine for name, each in packages.items() if each.touched}
    return {name: package for name, package in found.items() if package is not None}


def listed(
    source: Merged, system: System, wanted: Mapping[str, Package], notes: Notes
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Their files."""
    names = {package.key: name for name, package in wanted.items()}
    for key, paths in files_of(source, system, wanted.values(), notes).items():
        yield names[key], paths


def left_behind(
    source: Merged, system: System, packages: Mapping[str, Settled]
) -> Iterator[tuple[Settled, bytes, str]]:
    """Settings of packages that the machine had, removed and did not purge, and that the new master brings:
    the path of each, and what dpkg knows it by."""
    places = Places(source)
    for package in system.packages or ():
        found = packages.get(package.key) or packages.get(package.name)
        if package.present or found is None or found.touched or found.versions.machine is not None:
            continue
        for path, digest in package.conffiles:
            yield found, bytes_of(places.of(path)), digest


class Sums:
    """What dpkg knows the files of a package by, as it installed them."""

    def __init__(self, source: Merged, wanted: Mapping[str, Package], notes: Notes) -> None:
        self._source = source
        self._wanted = wanted
        self._notes = notes
        self._places = Places(source)

    def of(self, name: str) -> dict[bytes, str]:
        package = self._wanted.get(name)
        if package is None:
            return {}
        told = [*self._sums(package), *package.conffiles]
        return {bytes_of(self._places.of(path)): digest for path, digest in told}

    def _sums(self, package: Package) -> Iterable[tuple[str, str]]:
        for stem in (package.key, package.name):
            path = f"{dpkg.INFO}/{stem}.md5sums"
            for line in lines(content(self._source, path, _SUMS_LIMIT, self._notes)):
                found = _SUM.fullmatch(line)
                if found:
                    yield found[2], found[1]
