"""What differs between two systems: packages, accounts, units, and so on, by name."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from skinnybox.masters.system.debian_version import later
from skinnybox.masters.system.values import INSTALLED, Package, System

_RELEASE = ("id", "variant_id", "version_id", "version_codename", "debian_version")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many files: in the later one only, in the earlier one only, of other content, and with other mode,
    owner or attributes alone."""

    added: int = 0
    removed: int = 0
    modified: int = 0
    metadata: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`what` it is about: release, package, user, group, unit, alternative, diversion, files, file. `change`
    is added, removed, upgraded, downgraded, moved (a number), changed; of a file added, removed, modified,
    metadata. `name` of files is their package, or empty for those of none; `files` are a package's."""

    what: str
    change: str
    name: str
    before: str | None = None
    after: str | None = None
    files: Tally | None = None
    package: str | None = None


def differences(one: System, other: System) -> list[Difference]:
    """From `one` to `other`, by name within each kind. Without packages where those of either are unknown."""
    return [
        *_release(one.release, other.release),
        *_packages(one, other),
        *_users(one, other),
        *_groups(one, other),
        *_plain("unit", _units(one), _units(other)),
        *_plain("alternative", _alternatives(one), _alternatives(other)),
        *_plain("diversion", _diversions(one), _diversions(other)),
    ]


def names(*systems: System) -> dict[str, str]:
    """By key, what each package goes by: its name, with the architecture where any of the systems has two of
    that name."""
    twice: set[str] = set()
    for system in systems:
        count = Counter(package.name for package in _present(system))
        twice.update(name for name, number in count.items() if number > 1)
    return {p.key: p.key if p.name in twice else p.name for s in systems for p in _present(s)}


def _present(system: System) -> list[Package]:
    return [package for package in system.packages or () if package.present]


def _release(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[Difference]:
    for key in _RELEASE:
        if one.get(key) != other.get(key):
            yield Difference(
                what="release", change="changed", name=key, before=one.get(key), after=other.get(key)
            )


def _packages(one: System, other: System) -> Iterator[Difference]:
    if one.packages is None or other.packages is None:
        return
    called = names(one, other)
    both = ({called[p.key]: p for p in _present(system)} for system in (one, other))
    for name, a, b in _both(*both):
        if a is None or b is None:
            yield Difference(
                what="package",
                change="added" if a is None else "removed",
                name=name,
                before=a.version if a else None,
                after=b.version if b else None,
            )
        elif (a.version, a.architecture, a.status) != (b.version, b.architecture, b.status):
            before, after = _said(a, b)
            change = _change(a, b, other.manager)
            yield Difference(what="package", change=change, name=name, before=before, after=after)


def _change(a: Package, b: Package, manager: str | None) -> str:
    """Only of Debian's versions it is known which is later."""
    if a.version == b.version or manager != "dpkg":
        return "changed"
    return "downgraded" if later(a.version, b.version) else "upgraded"


def _said(a: Package, b: Package) -> tuple[str, str]:
    """The versions, and what else differs."""
    more = [(a.architecture, b.architecture)] if a.architecture != b.architecture else []
    more += [(a.status, b.status)] if a.status != b.status else []
    return (
        ", ".join([a.version, *(x for x, _ in more if x != INSTALLED)]),
        ", ".join([b.version, *(y for _, y in more if y != INSTALLED)]),
    )


def _users(one: System, other: System) -> Iterator[Difference]:
    """Moved when its own number is another; changed when its group, home or shell is."""
    before, after = ({user.name: user for user in s.accounts.users} for s in (one, other))
    for name, a, b in _both(before, after):
        if a is None or b is None or a.uid != b.uid:
            yield _numbered("user", name, a.uid if a else None, b.uid if b else None)
        elif (a.gid, a.home, a.shell) != (b.gid, b.home, b.shell):
            yield Difference(
                what="user",
                change="changed",
                name=name,
                before=f"{a.gid}, {a.home}, {a.shell}",
                after=f"{b.gid}, {b.home}, {b.shell}",
            )


def _groups(one: System, other: System) -> Iterator[Difference]:
    before, after = ({group.name: group for group in s.accounts.groups} for s in (one, other))
    for name, a, b in _both(before, after):
        if a is None or b is None or a.gid != b.gid:
            yield _numbered("group", name, a.gid if a else None, b.gid if b else None)
        elif a.members != b.members:
            told = (",".join(a.members), ",".join(b.members))
            yield Difference(what="group", change="changed", name=name, before=told[0], after=told[1])


def _numbered(what: str, name: str, a: int | None, b: int | None) -> Difference:
    change = "added" if a is None else "removed" if b is None else "moved"
    before, after = (None if number is None else str(number) for number in (a, b))
    return Difference(what=what, change=change, name=name, before=before, after=after)


def _plain(what: str, one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[Difference]:
    for name, a, b in _both(one, other):
        if a != b:
            change = "added" if a is None else "removed" if b is None else "changed"
            yield Difference(what=what, change=change, name=name, before=a, after=b)


def _units(system: System) -> dict[str, str]:
    return {unit.name: ", ".join(unit.wanted_by) for unit in system.units}


def _alternatives(system: System) -> dict[str, str]:
    return {a.name: f"{a.target} ({a.mode})" for a in system.alternatives}


def _diversions(system: System) -> dict[str, str]:
    return {f"/{d.path}": f"/{d.to} ({d.package})" for d in system.diversions}


def _both(one: Mapping[str, V], other: Mapping[str, V]) -> Iterator[tuple[str, V | None, V | None]]:
    for name in sorted(dict.fromkeys(chain(one, other))):
        yield name, one.get(name), other.get(name)
