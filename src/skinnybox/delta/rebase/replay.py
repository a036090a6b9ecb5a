"""A machine put on another release: its packages are not merged, but all the new master's.

What it had installed beyond its own master is installed again by its package manager, from the new release.

Here is decided which those are. Who installs them is no matter of a plan: the lists cross to the host, whose
package cache and appliance do it before the new overlay takes its place.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from skinnybox.delta.rebase.dangling import MOST_LINKS, is_link
from skinnybox.delta.rebase.packages import GONE, KERNEL, Settled, Versions, versions_told
from skinnybox.delta.rebase.records.extended_states import PATH as MARKS
from skinnybox.delta.rebase.records.extended_states import asked_for, marks
from skinnybox.delta.rebase.records.sides import LARGE
from skinnybox.delta.rebase.values import Decision, Fate, PackageClass, Standing, Subject
from skinnybox.errors import Corrupt, UsageError
from skinnybox.masters.system.source import Source
from skinnybox.masters.system.values import Package, System

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,198}[a-z0-9+.]")
"""Of a package; one that ended in a dash, which none does, would tell apt to remove what is before it."""
MOST = 5000
"""Packages in each list: a release of Debian has ten times as many, and no machine a tenth of these."""
_NEEDED = "it comes back where something needs or recommends it: nobody asked for it"
_ALTERNATIVE, _CHOICE = re.compile(r"[\w.+-]{1,100}", re.ASCII), re.compile(r"/[\w.+/-]{1,500}", re.ASCII)
_COMES = (Fate.REINSTALL, Fate.FOLLOW)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a machine's own package manager is to do on the new release, as names of packages. `install` was
    asked for, what it needs comes with it, and of what it only recommends those of `automatic`, which the
    machine had; `remove` the machine had removed from its old master, and the new master has it; `purge` are
    such that left no settings there either; `hold` it held itself. `links` are paths in /etc, and what they
    led to, that went with their packages: what is enabled."""

    install: tuple[str, ...] = ()
    automatic: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    purge: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    off: tuple[str, ...] = ()
    """Links in /etc that were not there, and that a package's scripts may make: what is not enabled."""
    alternatives: tuple[tuple[str, str], ...] = ()
    """By name, what was chosen by hand, and went with its package."""
    deleted: tuple[str, ...] = ()
    """Conffiles that packages are to bring, and somebody had deleted."""

    @property
    def is_empty(self) -> bool:
        return not (self.install or self.gone or self.hold)

    @property
    def gone(self) -> tuple[str, ...]:
        return (*self.remove, *self.purge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Otherwise:
    """What somebody wants installed otherwise: `without` names packages, and services, that need not come
    again; `instead` has the package of the new release for one of the machine."""

    without: frozenset[str] = frozenset()
    instead: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """UsageError for what is no name."""
        for name in (*self.without, *self.instead, *self.instead.values()):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+.@:_-]{1,199}", name):
                raise UsageError(f"{name!r} is no name of a package", hint="one such as php-fpm")

    def of(self, found: Replay) -> Replay:
        """What is to be done then."""
        named = (self.instead.get(name, name) for name in found.install if name not in self.without)
        return Replay(
            install=tuple(dict.fromkeys(named)),
            automatic=self._left(found.automatic),
            remove=tuple(name for name in found.remove if name not in self.without),
            purge=tuple(name for name in found.purge if name not in self.without),
            hold=self._left(found.hold),
            links=found.links,
            alternatives=found.alternatives,
            off=found.off,
            deleted=found.deleted,
        )

    def _left(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name not in self.without and name not in self.instead)


def refused(old: System, new: System, machine: System) -> str | None:
    """Why packages cannot be installed again; None where they can."""
    for system, whose in ((old, "the old master"), (new, "the new master"), (machine, "the machine")):
        if system.manager != "dpkg" or system.packages is None:
            return (
                f"{whose} has packages of {system.manager or 'no package manager'}, and only Debian's are "
                "installed again here: create a machine from the new master, and take over what it needs"
            )
    before, after = old.release.get("id", ""), new.release.get("id", "")
    if before != after:
        return f"{before or 'a system without a name'} does not become {after or 'one without a name'}"
    return None


def asked(source: Source) -> dict[Key, bool]:
    """What apt's marks in a machine say of a package (name, architecture). What has none was asked for. Of
    one for all architectures the mark is filed under the machine's own. Raises Corrupt."""
    data = source.read(MARKS, LARGE + 1)
    if data is not None and len(data) > LARGE:
        raise Corrupt(f"/{MARKS} has more than {LARGE} bytes")
    found: dict[Key, bool] = {}
    for (raw, of), paragraph in marks(data).items():
        name = raw.decode("utf-8", "replace")
        found[name, of.decode("utf-8", "replace")] = asked_for(paragraph)
        found.setdefault((name, "all"), asked_for(paragraph))
    return found


def settled(found: Versions) -> Settled:
    """All are the new master's, or gone."""
    return Settled(versions=found, kind=_kind(found), fate=Fate.TAKE)


def _kind(found: Versions) -> PackageClass:
    old, new, machine = found.old, found.new, found.machine
    if machine is None:
        return PackageClass.REMOVED if old is not None else PackageClass.ONLY_MASTER
    if old is None and new is None:
        return PackageClass.ONLY_MACHINE
    if found.hold:
        return PackageClass.HELD
    if old is not None and (machine.version, machine.architecture) == (old.version, old.architecture):
        same = new is not None and (new.version, new.architecture) == (old.version, old.architecture)
        return PackageClass.SAME if same else PackageClass.ONLY_MASTER
    return PackageClass.BOTH


def decisions(
    found: Mapping[str, Settled], marked: Mapping[Key, bool], machine: System, on_hold: Fate = Fate.ASK
) -> Iterator[Decision]:
    """What is told of them: not of those that are the master's on either side. `of` reads the lists there.
    `on_hold`: what becomes of one that is held, and that the new master has no more."""
    left = {each.name for each in machine.packages or () if not each.present}
    for each in found.values():
        fate, why, standing = _told(each, marked, on_hold)
        if fate is Fate.REMOVE and each.name not in left:
            fate = Fate.PURGE
        if fate is None:
            continue
        yield Decision(
            subject=Subject.PACKAGE,
            kind=each.kind,
            fate=fate,
            name=each.name,
            detail=", ".join(filter(None, (versions_told(each), why))),
            standing=standing,
        )
        if each.kind is PackageClass.ONLY_MACHINE and each.versions.hold and fate in _COMES:
            yield Decision(
                subject=Subject.PACKAGE,
                kind=PackageClass.HELD,
                fate=Fate.REPORT,
                name=each.name,
                detail="held again, as the machine held it",
            )


def _told(each: Settled, marked: Mapping[Key, bool], on_hold: Fate) -> tuple[Fate | None, str, Standing]:
    new, machine = each.versions.new, each.versions.machine
    if machine is None:
        if each.kind is not PackageClass.REMOVED or not new:
            return None, "", Standing.CLEAN
        if NAME.fullmatch(each.name) is None:
            return Fate.REPORT, "not removed again: apt knows nothing of such a name", Standing.CLEAN
        return Fate.REMOVE, "", Standing.CLEAN
    if each.kind is PackageClass.HELD and new is None and _may_come(each.name):
        return _held(on_hold)
    if each.kind is PackageClass.HELD and new is not None:
        return Fate.REPORT, "the new master's version is held", Standing.CLEAN
    if each.kind is not PackageClass.ONLY_MACHINE:
        gone = new is None
        why = GONE if gone else ""
        return (Fate.TAKE if gone or each.touched else None), why, Standing.CLEAN
    if KERNEL.fullmatch(each.name):
        return Fate.REPORT, "not installed again: machines boot their master's kernel", Standing.CLEAN
    if NAME.fullmatch(each.name) is None:
        why = "of another architecture, or without a proper name: only the master's own are installed again"
        return Fate.ASK, why, Standing.BLOCKED
    if not marked.get((machine.name, machine.architecture), True):
        return Fate.FOLLOW, _NEEDED, Standing.CLEAN
    return Fate.REINSTALL, "", Standing.CLEAN


def _may_come(name: str) -> bool:
    """Whether apt could install it again, and that would do anything."""
    return KERNEL.fullmatch(name) is None and NAME.fullmatch(name) is not None


def _held(on_hold: Fate) -> tuple[Fate, str, Standing]:
    """Of one that the new master has no more: installed again of the new release, or given up."""
    if on_hold is Fate.ASK:
        return Fate.ASK, GONE, Standing.CONFLICT
    return (Fate.TAKE if on_hold is Fate.TAKE else Fate.REINSTALL), GONE, Standing.CLEAN


def of(
    found: Iterable[Decision],
    links: Iterable[tuple[str, str]] = (),
    off: Iterable[str] = (),
    alternatives: Iterable[tuple[str, str]] = (),
    deleted: Iterable[str] = (),
) -> Replay:
    """As it stands in decisions of a replay."""
    told = [each for each in found if each.subject is Subject.PACKAGE]
    return Replay(
        install=tuple(each.name for each in told if each.fate is Fate.REINSTALL),
        automatic=tuple(each.name for each in told if each.fate is Fate.FOLLOW),
        remove=tuple(each.name for each in told if each.fate is Fate.REMOVE),
        purge=tuple(each.name for each in told if each.fate is Fate.PURGE),
        hold=tuple(
            each.name for each in told if each.kind == PackageClass.HELD and each.fate is not Fate.TAKE
        ),
        links=tuple(links),
        off=tuple(off),
        alternatives=tuple(each for each in alternatives if is_alternative(*each))[:MOST_LINKS],
        deleted=tuple(deleted),
    )


def coming(told: Iterable[Decision], packages: Mapping[str, Settled]) -> Iterator[Package]:
    """Of those decisions, as the machine has them, the packages that come again."""
    for each in told:
        known = packages.get(each.name) if each.fate in _COMES else None
        if known is not None and known.versions.machine is not None:
            yield known.versions.machine


def is_alternative(name: str, target: str) -> bool:
    """Whether update-alternatives would know it."""
    return bool(_ALTERNATIVE.fullmatch(name) and _CHOICE.fullmatch(target))


def crossed(found: Replay) -> list[list[Any]]:
    """As `checked` takes it."""
    names = (found.install, found.automatic, found.remove, found.purge, found.hold)
    pairs = (found.links, found.alternatives)
    return [
        *map(list, names),
        *(list(map(list, each)) for each in pairs),
        list(found.off),
        list(found.deleted),
    ]


def checked(value: Any) -> Replay:
    """From who read a stranger's disk. ValueError for what is no such lists."""
    *lists, links, chosen, off, deleted = [tuple(each) for each in value]
    if len(lists) != 5 or any(len(names) > MOST for names in lists):
        raise ValueError("no lists of packages")
    if max(len(links), len(chosen), len(off), len(deleted)) > MOST_LINKS:
        raise ValueError("too many links")
    if not all(type(name) is str and NAME.fullmatch(name) for names in lists for name in names):
        raise ValueError("not a name of a package")
    led = tuple((path, target) for path, target in links)
    if not all(type(path) is type(target) is str and is_link(path, target) for path, target in led):
        raise ValueError("no link in /etc")
    by_hand = tuple((name, target) for name, target in chosen)
    if not all(
        type(name) is type(target) is str and is_alternative(name, target) for name, target in by_hand
    ):
        raise ValueError("no alternative")
    if not all(type(path) is str and is_link(path, "/") for path in (*off, *deleted)):
        raise ValueError("no path in /etc")
    install, automatic, remove, purge, hold = lists
    return Replay(
        install=install, automatic=automatic, remove=remove, purge=purge, hold=hold, links=led, off=off,
        alternatives=by_hand, deleted=deleted,
    )  # fmt: skip
