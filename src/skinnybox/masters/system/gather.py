"""Reading what a tree consists of: the tree itself while it is sealed, or its image (see image).

Idempotent, and the same of both. Whatever a stranger's tree holds, this comes to its end with what could be
understood, and with a note of what could not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from skinnybox.masters.kernel import os_release
from skinnybox.masters.system import apk, dpkg
from skinnybox.masters.system.accounts import read_accounts
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Notes, Source, lines
from skinnybox.masters.system.units import units
from skinnybox.masters.system.values import Files, Package, System

_OTHERS = {
    "rpm": ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"),
    "pacman": ("var/lib/pacman/local",),
}
"""Whose databases are not read: rpm's has a form of its own within another, which takes a parser of both."""
_RELEASE = ("ID", "ID_LIKE", "NAME", "PRETTY_NAME", "VERSION", "VERSION_ID", "VERSION_CODENAME", "VARIANT_ID")
_SMALL = 1 << 16
_MOST_PATHS, _MOST_BYTES, _LONGEST = 1_000_000, 48 << 20, 4096


def gather(source: Source) -> tuple[System, Files]:
    """The system, and the files of its packages."""
    notes = Notes()
    manager, packages = read_packages(source, notes)
    found = System(
        manager=manager,
        packages=packages,
        accounts=read_accounts(source, notes),
        units=tuple(units(source, notes)),
        alternatives=tuple(dpkg.alternatives(source, notes)),
        diversions=tuple(dpkg.diversions(source, notes)),
        release=read_release(source),
        trouble=(),
    )
    files = files_of(source, found, packages or (), notes)
    return replace(found, trouble=tuple(notes.told)), files


def read_packages(source: Source, notes: Notes) -> tuple[str | None, tuple[Package, ...] | None]:
    for manager, read in (("dpkg", dpkg.packages), ("apk", apk.packages)):
        found = read(source, notes)
        if found is not None:
            return manager, tuple(found)
    for manager, folders in _OTHERS.items():
        if any(source.names(folder) for folder in folders):
            notes.add(f"packages unknown: the database of {manager} is not read")
            return manager, None
    return None, None


def read_release(source: Source) -> dict[str, str]:
    """What os-release says, and Debian's own file, which alone names the point release."""
    found = {}
    for path in ("etc/os-release", "usr/lib/os-release"):
        data = source.read(path, _SMALL)
        if data is not None:
            told = os_release(data.decode("utf-8", "replace"))
            found = {key.lower(): told[key][:300] for key in _RELEASE if key in told}
            break
    debian = next(lines(source.read("etc/debian_version", 300)), "").strip()
    return {**found, "debian_version": debian} if debian else found


def files_of(source: Source, system: System, packages: Iterable[Package], notes: Notes) -> Files:
    """Of these packages of a system. `source` is where that was read."""
    diverted = {diversion.path: (diversion.package, diversion.to) for diversion in system.diversions}
    places = Places(source)
    paths, size = 0, 0
    found: dict[str, tuple[str, ...]] = {}
    for key, told in _listed(source, system.manager, packages, notes):
        name = key.partition(":")[0]
        kept, above = set(), set()
        for path in told:
            paths, size = paths + 1, size + len(path) + 1
            if paths > _MOST_PATHS or size > _MOST_BYTES:
                notes.add("the packages name more files than can be: the others were not read")
                return found
            if not path:
                continue
            if len(path) > _LONGEST or "\0" in path:
                notes.add(f"{key} names a path that cannot be: {path[:60]!r}")
                continue
            above.add(path.rpartition("/")[0])
            owner, to = diverted.get(path, (name, path))
            kept.add(places.of(path if owner == name else to))
        # As it is said, and as it lies there: a folder that is said may be a symlink there.
        above |= {path.rpartition("/")[0] for path in kept}
        if kept - above:
            found[key] = tuple(sorted(kept - above))
    return found


def _listed(
    source: Source, manager: str | None, packages: Iterable[Package], notes: Notes
) -> Iterator[tuple[str, Iterator[str]]]:
    if manager == "apk":
        known = {package.key for package in packages}
        yield from (item for item in apk.files(source, notes) if item[0] in known)
        return
    lists = frozenset(source.names(dpkg.INFO))
    for package in packages:
        if package.present:
            yield package.key, dpkg.paths(source, package, lists, notes)
