"""The paths of packages that the machine itself changed: their files go their package's way.

Only these are held, not those of all packages: what follows from a package that the machine never touched
follows from its files as well.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.errors import Corrupt
from skinnybox.masters.system.source import bytes_of

Listed = Iterable[tuple[str, Iterable[str]]]
"""Packages by name, and the paths of each, through the symlinks of the tree that they are in."""
_MOST_PATHS, _MOST_BYTES = 1_000_000, 48 << 20
_REPLAY = "a package was renamed or divided since: --replay installs it anew"


@dataclass(slots=True)
class Owned:
    """Whose a path is, and which systems list it so; `md5` of the machine's version, where told."""

    package: Settled
    old: bool = False
    new: bool = False
    machine: bool = False
    md5: str | None = None


Owners = Mapping[bytes, Owned]


def owners(
    packages: Mapping[str, Settled],
    *,
    old: Listed,
    new: Listed,
    machine: Listed,
    md5: Callable[[str], Mapping[bytes, str]] = lambda name: {},
) -> Owners:
    """Of the packages that are touched. Raises Corrupt for more paths than can be."""
    found: dict[bytes, Owned] = {}
    room = _Room()
    for listed, side in ((old, "old"), (new, "new"), (machine, "machine")):
        for name, paths in listed:
            package = packages.get(name)
            if package is None or not package.touched:
                continue
            sums = md5(name) if side == "machine" and package.fate is Fate.TAKE else {}
            for path in map(bytes_of, paths):
                owned = found.get(path)
                if owned is None or (owned.package.name != name and side == "machine"):
                    room.take(path)
                    owned = found[path] = Owned(package)
                if owned.package.name == name:
                    setattr(owned, side, True)
                    owned.md5 = sums.get(path, owned.md5)
    return found


def with_left(found: Owners, left: Iterable[tuple[Settled, bytes, str]]) -> Owners:
    """With what packages left behind that are installed anew: as dpkg does it, what nobody altered since is
    replaced. `left`: whose it is, the path, and its digest. Raises Corrupt for more than can be."""
    every, room = dict(found), _Room()
    for package, path, digest in left:
        room.take(path)
        every.setdefault(path, Owned(package, machine=True, md5=digest))
    return every


class _Room:
    def __init__(self) -> None:
        self._paths, self._bytes = _MOST_PATHS, _MOST_BYTES

    def take(self, path: bytes) -> None:
        self._paths -= 1
        self._bytes -= len(path)
        if self._paths < 0 or self._bytes < 0:
            raise Corrupt("the packages of the machine name more files than can be")


def two_owners(
    found: Owners, packages: Mapping[str, Settled], *, old: Callable[[], Listed], new: Listed
) -> Iterator[Decision]:
    """Packages that stay the machine's, and have a path that another of the new master's has as well.

    Not where it was so in the old master: then the machine's replaces it, and dpkg agreed."""
    clashes: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for name, paths in new:
        other = packages.get(name)
        if other is None or other.fate is not Fate.TAKE:
            continue
        for path in map(bytes_of, paths):
            owned = found.get(path)
            if owned and owned.machine and owned.package.fate is Fate.KEEP and owned.package.name != name:
                clashes[owned.package.name, name].add(path)
    if clashes:
        _forget_older(clashes, old())
    for (kept, taken), both in sorted(clashes.items()):
        if not both:
            continue
        first = min(both).decode("utf-8", "surrogateescape")
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        yield Decision(
            subject=Subject.PACKAGE,
            kind="two owners",
            fate=Fate.ASK,
            name=kept,
            detail=f"/{first}{more} would be {taken}'s as well, of the new master; {_REPLAY}",
            standing=Standing.BLOCKED,
        )


def _forget_older(clashes: Mapping[tuple[str, str], set[bytes]], old: Listed) -> None:
    by_taken: defaultdict[str, list[set[bytes]]] = defaultdict(list)
    for (_, taken), paths in clashes.items():
        by_taken[taken].append(paths)
    for name, listed in old:
        for paths in by_taken.get(name, ()):
            paths.difference_update(map(bytes_of, listed))
