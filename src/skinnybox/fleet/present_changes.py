"""The stable forms of how machines differ, beside the paths of present.change: how their systems do, and the
numbers of all of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from skinnybox.fleet.present import Record
from skinnybox.model import Change, ChangeKind, Fact, Group, Look
from skinnybox.printable import printable, printable_path

_VERBS = {
    ("package", "added"): "installed", ("unit", "added"): "enabled", ("unit", "removed"): "disabled",
    ("unit", "changed"): "enabled otherwise",
}  # fmt: skip
_MOST_FOLDERS = 1000
"""Folders at the top are counted apart; a guest may make as many as it likes."""


def fact(found: Fact) -> Record:
    """`before` is null of what was not there, `after` of what is not any more."""
    return {
        "what": found.what,
        "change": found.change,
        "name": printable(found.name),
        "before": None if found.before is None else printable(found.before),
        "after": None if found.after is None else printable(found.after),
        "group": str(found.group),
    }


def verb(what: str, change: str) -> str:
    """What became of a package or a unit, for people; of all else it is said of what."""
    return _VERBS.get((what, change), change) if what in ("package", "unit") else f"{what} {change}"


@dataclass(slots=True)
class Sum:
    """So many changes, and the bytes of what stands there now."""

    changes: int = 0
    size: int = 0

    def add(self, change: Change) -> None:
        self.changes += 1
        self.size += change.size if change.kind is not ChangeKind.DELETED else 0


@dataclass(slots=True)
class Sums:
    """Of one machine. `noise` is in its group as well; `same` is no change, and in no other."""

    groups: dict[Group, Sum] = field(default_factory=lambda: {group: Sum() for group in Group})
    folders: dict[str, Sum] = field(default_factory=dict)
    noise: Sum = field(default_factory=Sum)
    same: Sum = field(default_factory=Sum)

    def add(self, change: Change) -> None:
        if change.kind is ChangeKind.SAME:
            self.same.add(change)
            return
        self.groups[change.group].add(change)
        name = "/" + printable_path(change.path.partition(b"/")[0])
        if name not in self.folders and len(self.folders) >= _MOST_FOLDERS:
            name = "others"
        self.folders.setdefault(name, Sum()).add(change)
        if change.noise:
            self.noise.add(change)


def summary(name: str, look: Look) -> Record:
    """Goes through all of it, and holds none."""
    return told(name, look.facts, summed(look.changes))


def summed(changes: Iterable[Change]) -> Sums:
    sums = Sums()
    for change in changes:
        sums.add(change)
    return sums


def told(name: str, facts: Iterable[Fact], sums: Sums) -> Record:
    """`same` is what `slim` would drop: in the overlay, and as the master has it."""
    return {
        "name": name,
        "facts": [fact(each) for each in facts],
        "groups": [{"group": str(group), **_sum(of)} for group, of in sums.groups.items()],
        "folders": [
            {"folder": folder, **_sum(of)}
            for folder, of in sorted(sums.folders.items(), key=lambda item: (-item[1].size, item[0]))
        ],
        "noise": _sum(sums.noise),
        "same": _sum(sums.same),
    }


def _sum(of: Sum) -> Record:
    return {"changes": of.changes, "size": of.size}
