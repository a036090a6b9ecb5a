"""Which files differ between two masters, by their indexes, and whose they are."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from skinnybox.masters.index import Entry
from skinnybox.masters.system.compare import Difference, Tally
from skinnybox.masters.system.source import bytes_of
from skinnybox.masters.system.values import Files
from skinnybox.printable import printable_path


@dataclass(frozen=True, slots=True)
class Changed:
    """`before` and `after` are told of metadata alone."""

    change: str
    path: bytes
    before: str | None = None
    after: str | None = None


def changed(one: Iterable[Entry], other: Iterable[Entry]) -> Iterator[Changed]:
    """In canonical order, as both come. Times alone are no change: a file that is made while a master is
    built has others each time. Nor is a folder that comes or goes: what is in it does."""
    for a, b in _pairs(iter(one), iter(other)):
        if a is None or b is None:
            known = a or b
            if known is not None and known.type != "d":
                yield Changed("added" if a is None else "removed", known.path)
        elif _content(a) != _content(b):
            yield Changed("modified", a.path)
        elif (a.mode, a.uid, a.gid, a.xattrs) != (b.mode, b.uid, b.gid, b.xattrs):
            yield Changed("metadata", a.path, *_told(a, b))


def with_files(
    found: list[Difference],
    changes: Iterable[Changed],
    owners: Mapping[bytes, str],
    *,
    paths: bool,
) -> list[Difference]:
    """The differences with the files of each package counted in its own; those of packages that are the same
    otherwise, and of none, behind them. With `paths` each file, too."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    files = []
    for change in changes:
        package = owners.get(change.path, "")
        counts[package][change.change] += 1
        if paths:
            name = printable_path(b"/" + change.path)
            files.append(
                Difference(
                    what="file",
                    change=change.change,
                    name=name,
                    before=change.before,
                    after=change.after,
                    package=package or None,
                )
            )
    tallies = {package: Tally(**count) for package, count in counts.items()}
    told = [replace(d, files=tallies.pop(d.name, Tally())) if d.what == "package" else d for d in found]
    rest = [_same_otherwise(package, tallies[package]) for package in sorted(tallies)]
    return [*told, *rest, *files]


def _same_otherwise(package: str, tally: Tally) -> Difference:
    return Difference(what="files", change="changed", name=package, files=tally, package=package or None)


def owners(one: Files, other: Files, names: Mapping[str, str]) -> dict[bytes, str]:
    """Whose each path is, by the names that the differences go by; the later master's word counts."""
    found: dict[bytes, str] = {}
    for files in (one, other):
        for key, paths in files.items():
            name = names.get(key, key)
            found.update((bytes_of(path), name) for path in paths)
    return found


def _told(a: Entry, b: Entry) -> tuple[str, str]:
    """Modes and owners; and what attributes differ, where either has them."""
    names = sorted({name for name, _ in set(a.xattrs) ^ set(b.xattrs)})
    found = []
    for entry in (a, b):
        has = [name for name, _ in entry.xattrs if name in names]
        found.append(" ".join([f"{entry.mode:04o}", f"{entry.uid}:{entry.gid}", *has]))
    return found[0], found[1]


def _content(entry: Entry) -> tuple[object, ...]:
    return entry.type, entry.digest, entry.target, entry.rdev


def _pairs(one: Iterator[Entry], other: Iterator[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    a, b = next(one, None), next(other, None)
    while a is not None or b is not None:
        first = _order(a) if b is None or (a is not None and _order(a) <= _order(b)) else None
        if first is None:
            yield None, b
            b = next(other, None)
        elif b is not None and _order(b) == first:
            yield a, b
            a, b = next(one, None), next(other, None)
        else:
            yield a, None
            a = next(one, None)


def _order(entry: Entry | None) -> list[bytes]:
    return entry.path.split(b"/") if entry is not None else []
