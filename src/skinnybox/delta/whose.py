"""Whose the files of a machine are, of the packages that it has otherwise than its master: for the confined
process of listing.py.

A package that was installed, removed or upgraded is one line for people, and so its files need none. But only
what is as the package brought it, says dpkg, hides behind that line: whoever breaks in puts his program where
a package has its own. What dpkg says, a guest says; nothing here is a proof.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from skinnybox.delta.rebase.machine import Sums, same_packages, same_system, system_of
from skinnybox.delta.rebase.merged_source import Merged
from skinnybox.delta.rebase.reading import buffered
from skinnybox.errors import Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.ext4 import Volume
from skinnybox.masters.system import dpkg
from skinnybox.masters.system.compare import Difference, differences, names
from skinnybox.masters.system.gather import files_of, gather
from skinnybox.masters.system.image import Sealed, opened
from skinnybox.masters.system.record import listed, system_in, unpacked_of
from skinnybox.masters.system.source import Notes, bytes_of
from skinnybox.masters.system.values import Files, Package, System

_WHAT = "what is kept of the master's system"
Listed = Iterable[tuple[str, tuple[str, ...]]]


@dataclass(slots=True)
class Owned:
    """Whose a path is, by the master and by the machine; `md5` as the machine's dpkg has it, `conffile`
    whether somebody may alter it."""

    package: str
    master: bool = False
    machine: bool = False
    md5: str | None = None
    conffile: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """`facts` are all differences of the systems. `keys` are the names that dpkg's own files of a package
    begin with; `sums` the packages of which dpkg knows what is in their files; `above` folders that lead to
    what is owned."""

    facts: tuple[Difference, ...] = ()
    owned: Mapping[bytes, Owned] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    sums: frozenset[str] = frozenset()
    above: frozenset[bytes] = frozenset()

    def any(self, what: str) -> bool:
        return any(fact.what == what for fact in self.facts)


NOBODYS = Whose()


def of_machine(volume: Volume, image: int, system: int | None = None) -> Whose:
    """Of an overlay, over its master's image; `system` is what is kept of that, gzip'd. Where it is missing,
    or damaged, the image tells it. What the machine has in the place of its databases may be anything: where
    it cannot be read, that is told, and every path is listed."""
    lower = opened(image)
    try:
        source = Merged(volume, lower)
        if same_system(source):
            return NOBODYS
        notes = Notes()
        old, listed = _kept(lower, system)
        return between(source, (old, listed), _system(source, old, notes), notes)
    except (Corrupt, NotFound, Unsupported) as error:
        return _unread(error)


def of_two(one: tuple[Volume, int, int], other: tuple[Volume, int, int]) -> tuple[Whose, Whose]:
    """Of two machines, each a volume, its image and what is kept of that, each against the other: facts of
    the first are from the other to the one. Where either cannot be read, that is told."""
    try:
        (mine, here), (theirs, there) = _seen(*one), _seen(*other)
        return (
            between(mine, (there, tuple), here, Notes()),
            between(theirs, (here, tuple), there, Notes()),
        )
    except (Corrupt, NotFound, Unsupported) as error:
        return _unread(error), NOBODYS


def _seen(volume: Volume, image: int, system: int) -> tuple[Merged, System]:
    lower = opened(image)
    source = Merged(volume, lower)
    return source, _system(source, _kept(lower, system)[0], Notes())


def _unread(error: SkinnyboxError) -> Whose:
    return Whose(facts=(Difference(what="system", change="unread", name=error.message[:300]),))


def _kept(lower: Sealed, system: int | None) -> tuple[System, Callable[[], Listed]]:
    try:
        text = unpacked_of(buffered(system)) if system is not None else b""
        return system_in(text, _WHAT), lambda: listed(text, _WHAT)
    except (Corrupt, Unsupported):
        found, files = gather(lower)
        return found, files.items


def _system(source: Merged, old: System, notes: Notes) -> System:
    """With the alternatives, which no rebase asks for."""
    found = system_of(source, old, notes)
    if same_packages(source):
        return found
    return replace(found, alternatives=tuple(dpkg.alternatives(source, notes)))


def between(source: Merged, before: tuple[System, Callable[[], Listed]], new: System, notes: Notes) -> Whose:
    old, listed = before
    found = tuple(fact for fact in differences(old, new) if not _follows(fact))
    touched = {fact.name for fact in found if fact.what == "package"}
    if not touched:
        return Whose(facts=found)
    called = names(old, new)
    mine = {called[p.key]: p for p in new.packages or () if p.present and called[p.key] in touched}
    owned: dict[bytes, Owned] = {}
    for key, paths in listed():
        if called.get(key) in touched:
            for path in map(bytes_of, paths):
                owned.setdefault(path, Owned(called[key])).master = True
    _add_machines(owned, source, new, mine, notes)
    keys = dict(_keys(old, new, called, touched))
    sums = frozenset(each.package for each in owned.values() if each.md5 is not None and not each.conffile)
    return Whose(facts=found, owned=owned, keys=keys, sums=sums, above=frozenset(_above(owned)))


def _follows(fact: Difference) -> bool:
    """An alternative that nobody chose comes and goes with its packages."""
    told = fact.after or fact.before or ""
    return fact.what == "alternative" and fact.change != "changed" and told.endswith("(auto)")


def _keys(
    old: System, new: System, called: Mapping[str, str], touched: set[str]
) -> Iterator[tuple[str, str]]:
    """Also of what came and went again, and left its settings."""
    known = {package.key for package in old.packages or ()}
    for package in chain(old.packages or (), new.packages or ()):
        passed_by = not package.present and package.key not in known
        if called.get(package.key) in touched or passed_by:
            name = called.get(package.key, package.name)
            yield from ((package.key, name), (package.name, name))


def _add_machines(
    owned: dict[bytes, Owned], source: Merged, new: System, mine: Mapping[str, Package], notes: Notes
) -> None:
    by_key = {package.key: name for name, package in mine.items()}
    sums = Sums(source, mine, notes)
    files: Files = files_of(source, new, mine.values(), notes)
    for key, paths in files.items():
        name = by_key[key]
        known = sums.of(name)
        editable = {bytes_of(path) for path, _ in mine[name].conffiles}
        for path in map(bytes_of, paths):
            each = owned.setdefault(path, Owned(name))
            each.package, each.machine = name, True
            each.md5, each.conffile = known.get(path), path in editable


def _above(paths: Iterable[bytes]) -> Iterator[bytes]:
    seen: set[bytes] = set()
    for path in paths:
        folder = path.rpartition(b"/")[0]
        while folder and folder not in seen:
            seen.add(folder)
            yield folder
            folder = folder.rpartition(b"/")[0]
