"""Three sides of records in a few words, and what is there when all that is told of them was done."""

from collections.abc import Mapping
from typing import Any

from skinnybox.delta.rebase.packages import Settled, settled, versions
from skinnybox.delta.rebase.records import Made, Sides, made
from skinnybox.delta.rebase.values import Fate
from skinnybox.masters.system import dpkg
from skinnybox.masters.system.source import Notes, Source
from skinnybox.masters.system.values import System
from tests.unit.rebased import a_system

Thing = bytes | str | None
"""A file's content, what a symlink says, or that it was deleted."""
Tree = Mapping[str, Thing]


class Seen:
    """A tree as it is read."""

    def __init__(self, tree: Tree) -> None:
        self.tree = {path: thing for path, thing in tree.items() if thing is not None}

    def names(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        return sorted({p[len(start) :].split("/")[0] for p in self.tree if p.startswith(start)})

    def links(self, folder: str) -> dict[str, str]:
        here = {path.rpartition("/")[2]: path for path in self.tree if path.rpartition("/")[0] == folder}
        return {name: said for name, path in here.items() if isinstance(said := self.tree[path], str)}

    def read(self, path: str, limit: int) -> bytes | None:
        found = self.tree.get(path)
        return found[:limit] if isinstance(found, bytes) else None


class Changed(Seen):
    """A machine: what it has of its own, above the old master."""

    def __init__(self, old: Tree, upper: Tree) -> None:
        super().__init__({**old, **upper})
        self.upper = upper

    def untouched(self, path: str) -> bool:
        return not any(p == path or p.startswith(f"{path}/") for p in self.upper)


def sides(old: Tree, new: Tree, upper: Tree, **more: Any) -> Sides:
    """With the packages that the three databases say; a hold is kept."""
    machine = Changed(old, upper)
    more.setdefault("packages", packages(Seen(old), Seen(new), machine))
    return Sides(old=Seen(old), new=Seen(new), machine=machine, **more)


def packages(old: Source, new: Source, machine: Source) -> dict[str, Settled]:
    three = versions(*map(_system, (old, new, machine)))
    return {each.name: settled(each, Fate.KEEP) for each in three}


def _system(source: Source) -> System:
    return a_system(*(dpkg.packages(source, Notes()) or ()))


def fates(**said: Fate) -> dict[str, Settled]:
    """Packages whose fate is all that counts."""
    three = a_system(*(f"{name}=1" for name in said))
    found = {each.name: each for each in versions(three, three, three)}
    return {
        name: Settled(versions=found[name], kind=settled(found[name]).kind, fate=fate)
        for name, fate in said.items()
    }


def told(given: Sides) -> dict[str, Made]:
    """Every path once."""
    found = list(made(given))
    assert len({each.path for each in found}) == len(found)
    return {each.path: each for each in found}


def after(given: Sides) -> dict[str, bytes | str]:
    """What is seen then: the new master, and above it what the machine keeps, and what was made."""
    machine = given.machine
    assert isinstance(machine, Changed) and isinstance(given.new, Seen)
    upper = dict(machine.upper)
    for each in told(given).values():
        upper.pop(each.path, None)
        if each.content is not None or each.target is not None:
            upper[each.path] = each.content if each.content is not None else each.target
        elif each.hidden:
            upper[each.path] = None
    return Seen({**given.new.tree, **upper}).tree


def status(*packages: str, state: str = "install ok installed", **fields: str) -> bytes:
    """Of packages NAME=VERSION, all alike."""
    told = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in fields.items())
    return "".join(
        f"Package: {name}\nStatus: {state}\nArchitecture: amd64\nVersion: {version}\n{told}\n"
        for name, _, version in (each.partition("=") for each in packages)
    ).encode()
