"""Whether the packages that are there afterwards go together: what they need, and what they cannot stand.

A machine's own package may need a library that the new master has under another name, or no more. What was
not in order before, in the machine or in the new master, is no matter of this.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.masters.system.debian_version import later
from skinnybox.masters.system.dpkg import STATUS, STATUS_LIMIT, stanzas
from skinnybox.masters.system.source import Notes, Source, content
from skinnybox.masters.system.values import INSTALLED

_FIELDS = ("Package", "Version", "Architecture", "Status")
_NEEDS, _BREAKS = ("Pre-Depends", "Depends"), ("Breaks", "Conflicts")
_WANTED = frozenset((*_FIELDS, *_NEEDS, *_BREAKS, "Provides", "Multi-Arch"))
_ONE = re.compile(
    r"\s*([a-z0-9][a-z0-9.+-]*)(?::[a-z0-9-]+)?\s*(?:\((<<|<=|=|>=|>>|<|>)\s*([^\s)]{1,200})\s*\))?\s*"
)
_LONGEST_VERSION = 200
_MOST, _LONGEST = 500, 64 << 10
"""Relations of one package, and letters of them: more are passed over."""
_REPLAY = "; --replay installs it again"


@dataclass(frozen=True, slots=True)
class Relation:
    """Any version, without an operator."""

    name: str
    operator: str = ""
    version: str = ""

    def holds(self, version: str) -> bool:
        match self.operator:
            case "<<":
                return later(self.version, version)
            case "<=" | "<":  # which once meant that, and still does
                return not later(version, self.version)
            case ">=" | ">":
                return not later(self.version, version)
            case ">>":
                return later(version, self.version)
            case "=":
                return not later(version, self.version) and not later(self.version, version)
        return True

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A package with what it needs, any one of each group; what it breaks; and what it is as well. `same`:
    those of other architectures beside it have its version, or dpkg has none of them."""

    name: str
    version: str
    needs: tuple[tuple[Relation, ...], ...] = ()
    breaks: tuple[Relation, ...] = ()
    provides: tuple[Relation, ...] = ()
    same: bool = False


def related(source: Source, notes: Notes) -> dict[tuple[str, str], Related]:
    """Of a system's installed packages, by name and architecture."""
    found = {}
    for stanza in stanzas(content(source, STATUS, STATUS_LIMIT, notes), _WANTED):
        first = {key: lines[0] for key, lines in stanza.items()}
        if first.get("Status", INSTALLED).rpartition(" ")[2] in ("config-files", "not-installed"):
            continue
        name = first.get("Package", "")
        found[name, first.get("Architecture", "all")] = Related(
            name=name,
            version=first.get("Version", "")[:_LONGEST_VERSION],
            needs=tuple(group for key in _NEEDS for group in _groups(stanza.get(key))),
            breaks=tuple(one for key in _BREAKS for group in _groups(stanza.get(key)) for one in group),
            provides=tuple(one for group in _groups(stanza.get("Provides")) for one in group),
            same=first.get("Multi-Arch") == "same",
        )
    return found


def _groups(lines: list[str] | None) -> Iterator[tuple[Relation, ...]]:
    text = " ".join(lines or ())[:_LONGEST]
    for group in text.split(",", _MOST)[:_MOST]:
        matches = map(_ONE.fullmatch, group.split("|"))
        found = tuple(Relation(m[1], m[2] or "", m[3] or "") for m in matches if m)
        if found:
            yield found


class _There:
    """What is there: packages, and what they provide."""

    def __init__(self, packages: Iterable[Related]) -> None:
        self._versions: defaultdict[str, list[tuple[str | None, str]]] = defaultdict(list)
        for package in packages:
            self._versions[package.name].append((package.version, package.name))
            for one in package.provides:
                self._versions[one.name].append((one.version or None, package.name))

    def who(self, relation: Relation, but: str = "") -> str | None:
        """A package that is what the relation says. One that is provided without a version has none."""
        for version, name in self._versions.get(relation.name, ()):
            known = not relation.operator or (version is not None and relation.holds(version))
            if known and name != but:
                return name
        return None


def decisions(
    settled: Mapping[str, Settled],
    new: Mapping[tuple[str, str], Related],
    machine: Mapping[tuple[str, str], Related],
) -> Iterator[Decision]:
    """Blocked is told of each package that would lack something, or that another cannot stand beside it."""
    chosen = list(_afterwards(settled, new, machine))
    after, theirs, mine = (_There(side) for side in ((p for p, _ in chosen), new.values(), machine.values()))
    for package, from_machine in chosen:
        before = mine if from_machine else theirs
        for group in package.needs:
            if not any(map(after.who, group)) and any(map(before.who, group)):
                yield _blocked(package, f"needs {' | '.join(map(str, group))}, which would not be there")
        for one in package.breaks:
            who = after.who(one, package.name)
            if who is not None and before.who(one, package.name) is None:
                yield _blocked(package, f"does not go together with {who}, which would be there")
    yield from _apart(chosen)


def _apart(chosen: Iterable[tuple[Related, bool]]) -> Iterator[Decision]:
    """Of one name, for two architectures: the master's moved on, and the machine's own did not."""
    masters = {package.name: package for package, from_machine in chosen if package.same and not from_machine}
    for package, from_machine in chosen:
        other = masters.get(package.name)
        if from_machine and package.same and other is not None and other.version != package.version:
            why = f"of another architecture has to have the version of the master's, which is {other.version}"
            yield _blocked(package, why, "; upgrade both in the machine, or remove its own")


def _afterwards(
    settled: Mapping[str, Settled],
    new: Mapping[tuple[str, str], Related],
    machine: Mapping[tuple[str, str], Related],
) -> Iterator[tuple[Related, bool]]:
    """Each with whether it is the machine's."""
    for each in settled.values():
        if each.fate is Fate.HIDE:
            continue
        package = each.versions.new if each.fate is Fate.TAKE else each.versions.machine
        side = new if each.fate is Fate.TAKE else machine
        found = side.get((package.name, package.architecture)) if package is not None else None
        if found is not None:
            yield found, each.fate is not Fate.TAKE


def _blocked(package: Related, what: str, way: str = _REPLAY) -> Decision:
    return Decision(
        subject=Subject.PACKAGE,
        kind="relations",
        fate=Fate.ASK,
        name=package.name,
        detail=f"{package.name} {package.version} {what}{way}",
        standing=Standing.BLOCKED,
    )
