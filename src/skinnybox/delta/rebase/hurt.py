"""Programs and libraries that a rebase could have hurt: the machine's own, which have another master under
them, and those of the master whose libraries the machine hides. What they lacked before is nothing new."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from skinnybox.delta.rebase.findings import Finding, FindingKind
from skinnybox.delta.rebase.libraries import Lack, Libraries
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.upper import OPAQUE
from skinnybox.ext4 import Node, Volume
from skinnybox.masters import elf
from skinnybox.masters.index import Entry
from skinnybox.masters.system.source import text_of

_SMALLEST = 52
"""Bytes of an ELF header of 32 bits."""
_EXECUTABLE = 0o111
_CONFIGURATION = (b"etc/ld.so.conf", b"etc/ld.so.conf.d", b"etc/ld.so.preload")


@dataclass
class Suspects:
    """Gathered while all paths go by, in canonical order. `own` are paths of the machine's ELF files,
    `programs` those that the master's may be, `names` what libraries are called that lie elsewhere now."""

    own: list[bytes] = field(default_factory=list)
    programs: list[bytes] = field(default_factory=list)
    names: set[bytes] = field(default_factory=set)
    everything: bool = False
    _libraries: set[bytes] = field(default_factory=set)
    _links: defaultdict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def mine(self, path: bytes, node: Node, volume: Volume) -> None:
        """Of the upper directory, folders and whiteouts included."""
        if any(path == each or is_below(path, each) for each in _CONFIGURATION):
            self.everything = True
        if node.type != "d" and _is_library(path):
            self.names.add(_name(path))
        if node.type == "-" and node.size >= _SMALLEST and volume.part(node, 0, 4) == elf.MAGIC:
            self.own.append(path)

    def masters(self, entry: Entry, *, hidden: bool) -> None:
        """Of the new master."""
        name = _name(entry.path)
        if _is_library(entry.path) and entry.type in "-l":
            self._libraries.add(name)
            if hidden:
                self.names.add(name)
            if entry.target is not None:
                self._links[_name(entry.target)].add(name)
        elif hidden and entry.type == "l" and name.startswith(b"lib"):
            self.everything = True  # such as lib64, which leads to a folder of them
        loadable = entry.mode & _EXECUTABLE or _is_library(entry.path)
        if loadable and entry.type == "-" and not hidden and entry.size >= _SMALLEST:
            self.programs.append(entry.path)

    @property
    def are_any(self) -> bool:
        """Whether any program of the master's could be. Also where only the machine's paths went by, with
        what they hide."""
        return self.everything or bool(self.names)

    def elsewhere(self) -> set[str]:
        """The names of the master's libraries that are found elsewhere now, or not at all."""
        found = set(self._libraries) if self.everything else self.names & self._libraries
        ahead = list(found)
        while ahead:
            more = self._links[ahead.pop()] - found
            found |= more
            ahead += more
        return set(map(text_of, found))


@dataclass(frozen=True, slots=True)
class Trees:
    """As the machine would see it, as it saw it before, and the new master by itself."""

    new: Libraries
    old: Libraries
    master: Libraries


def suspected(suspects: Suspects, trees: Trees) -> Iterator[tuple[str, bool]]:
    """Paths, and whether they are the machine's own."""
    for path in suspects.own:
        yield text_of(path), True
    moved = suspects.elsewhere()
    if not moved:
        return
    for path in suspects.programs:
        program = trees.new.at(text_of(path))
        if program is None:
            continue
        loads = {*program.needed, (program.interpreter or "").rpartition("/")[2]}
        if not moved.isdisjoint(each.rpartition("/")[2] for each in loads):
            yield text_of(path), False


def lacking(paths: Iterable[tuple[str, bool]], trees: Trees) -> Iterator[Finding]:
    """What is not found any more."""
    first: dict[Lack, str] = {}
    number: Counter[Lack] = Counter()
    for path, own in paths:
        lacks = trees.new.lacks(path)
        if lacks:
            lacks -= trees.old.lacks(path)
        if lacks and not own:
            lacks -= trees.master.lacks(path)
        for each in lacks:
            number[each] += 1
            first.setdefault(each, path)
    for lack in sorted(first, key=lambda each: (each.library, each.version or "")):
        others = f" and {number[lack] - 1} more need it" if number[lack] > 1 else " needs it"
        yield Finding.of(FindingKind.LIBRARY, f"{lack.told} is missing: /{first[lack]}{others}")


def is_opaque(path: bytes, node: Node, volume: Volume) -> bool:
    return bool(path) and node.type == "d" and volume.xattrs(node).get(OPAQUE) == b"y"


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _is_library(path: bytes) -> bool:
    return b".so" in _name(path)
