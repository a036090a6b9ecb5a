"""The half of the gate that needs no machine: what a confined process finds in the new overlay over the new
master, compared with the old one over the old master, and checked here."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from skinnybox.delta.rebase.findings import LIBRARIES, MOST, OWNERS, Finding, FindingKind
from skinnybox.delta.rebase.hurt import Suspects, Trees, is_opaque, lacking, suspected
from skinnybox.delta.rebase.libraries import Libraries
from skinnybox.delta.rebase.merged_source import UPPER
from skinnybox.delta.rebase.same_owners import Known, Owned, Owners
from skinnybox.delta.rebase.seen import Seen
from skinnybox.delta.rebase.streams import Lower, both, is_below
from skinnybox.delta.settled import NO_ANSWER, refuse_unsettled
from skinnybox.errors import Corrupt
from skinnybox.ext4 import Node, Volume, open_descriptor
from skinnybox.masters.index import Entry
from skinnybox.masters.lookup import Lookup
from skinnybox.masters.system import dpkg, image
from skinnybox.masters.system.accounts import read_accounts
from skinnybox.masters.system.image import Sealed
from skinnybox.masters.system.source import Notes, Source
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

if TYPE_CHECKING:
    from skinnybox.delta.rebase.masters import Files  # the child needs this module, but not that one

_READ_PER_SECOND = 5 << 20
_LONGEST = 1000
_DPKG = dpkg.FOLDER


class Index(Protocol):
    """Of a master, by path: see masters.lookup."""

    def at(self, path: bytes) -> Lower | None: ...


class Whole(Index, Protocol):
    """The same, and all of it."""

    def below(self, folder: bytes) -> Iterator[Lower]: ...
    def __iter__(self) -> Iterator[Lower]: ...
    def numbers(self) -> Iterator[tuple[int, int]]: ...
    def with_lists(self) -> Iterator[Lower]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """`more` are findings that are not told. `programs` is how many were looked at, `dpkg` whether the
    machine has its database, before or now, and `packages` whether that is its own."""

    findings: tuple[Finding, ...]
    more: int
    programs: int
    dpkg: bool
    packages: bool


def examined(
    old: Path,
    new: Path,
    masters: "tuple[Files, Files]",
    kinds: frozenset[FindingKind] = OWNERS | LIBRARIES,
) -> Examined:
    """Of a machine's overlay and what a rebase made of it, both clean. Nothing is written. Of `kinds` alone:
    only so many findings are told, and what nobody asked for leaves room for what he did. Raises Corrupt,
    also for a disk made to hurt."""
    with opened(old) as before, opened(new) as after:
        size = sum(os.fstat(each).st_size for each in (before, after, masters[1].image))
        bounds = Bounds(memory=2 << 30, cpu_seconds=300 + size // _READ_PER_SECOND)
        files = [before, after, *masters[0].all, *masters[1].all]
        sides = [each.word for each in masters]
        words = [str(before), str(after), *sides, ",".join(sorted(kinds))]
        with inquire(__name__, words, subject=str(new), bounds=bounds, pass_fds=files) as answers:
            for disk in (old, new):
                refuse_unsettled(answers, disk)
            return _checked(answers)


def _checked(answers: Iterator[Any]) -> Examined:
    try:
        *told, last = islice(answers, MOST + 2)
        more, programs, has_dpkg, packages = last
        if not all(type(each) is int and each >= 0 for each in (more, programs)):
            raise ValueError("no counts")
        if not all(type(each) is bool for each in (has_dpkg, packages)) or next(answers, None) is not None:
            raise ValueError("no end")
        findings = tuple(Finding.of(FindingKind(kind), text[:_LONGEST]) for kind, text in told)
    except (ValueError, TypeError) as error:
        raise Corrupt(NO_ANSWER) from error
    return Examined(findings=findings, more=more, programs=programs, dpkg=has_dpkg, packages=packages)


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    old, new, one, other, kinds = arguments
    answer(_told(frozenset(map(FindingKind, kinds.split(","))), int(old), int(new), (one, other)))


def _told(kinds: frozenset[FindingKind], old: int, new: int, sides: tuple[str, str]) -> Iterator[Any]:
    (old_index, old_table, _, *old_images), (new_index, new_table, _, *new_images) = (
        map(int, word.split(",")) for word in sides
    )
    volumes = open_descriptor(old), open_descriptor(new)
    for volume in volumes:
        yield volume.superblock.clean
        if not volume.superblock.clean:
            return
    sealed = image.stacked(old_images), image.stacked(new_images)
    examination = Examination(volumes, sealed)
    indexes = Lookup(old_index, old_table), Lookup(new_index, new_table)
    more = 0
    for number, finding in enumerate(examination.findings(*indexes, kinds)):
        if number < MOST:
            yield [finding.kind, finding.text]
        else:
            more += 1
    yield [more, examination.programs, examination.has_dpkg, examination.packages]


class Examination:
    """Of two overlays, the old one and the new, and their masters' images."""

    def __init__(self, volumes: tuple[Volume, Volume], sealed: tuple[Sealed, Sealed]) -> None:
        self._volumes = volumes
        self._seen = Seen(volumes[0], sealed[0]), Seen(volumes[1], sealed[1])
        self._master = sealed[1]
        self._known = tuple(map(_known, (*self._seen, self._master)))
        self.has_dpkg = any(seen.names(_DPKG) for seen in self._seen)
        self.packages = not all(seen.untouched(_DPKG) for seen in self._seen)
        self.programs = 0

    def findings(self, old: Index, new: Whole, kinds: frozenset[FindingKind]) -> Iterator[Finding]:
        """Raises Corrupt, as reading the volumes and the indexes does.

        What the machine did to its own paths tells whether anything of the master's could be concerned:
        mostly nothing is, and nobody goes through all of that."""
        suspects, owners = self._gathered(old, new, every=False)
        if suspects.are_any or owners.may_differ(_numbers(new)):
            suspects, owners = self._gathered(old, new, every=True)
        yield from (each for each in owners.findings() if each.kind in kinds)
        if not kinds & LIBRARIES:
            return
        mine, before, master = (Libraries(tree) for tree in (self._seen[1], self._seen[0], self._master))
        trees = Trees(new=mine, old=before, master=master)
        yield from lacking(self._counted(suspected(suspects, trees)), trees)

    def _counted(self, paths: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
        for each in paths:
            self.programs += 1
            yield each

    def _gathered(self, old_index: Index, new_index: Whole, *, every: bool) -> tuple[Suspects, Owners]:
        """Of the machine's paths and what they hide; of every path of the new master."""
        old, new = self._volumes
        suspects, owners = Suspects(), Owners(*self._known)
        cut: bytes | None = None
        for path, before, now, line in self._sides(new_index, every=every):
            if cut is not None and not is_below(path, cut):
                cut = None
            entry = None if line is None else line.entry()
            hidden = cut is not None or _hides(now, entry)
            if entry is not None:
                suspects.masters(entry, hidden=hidden)
            if now is not None:
                suspects.mine(path, now, new)
                if not _is_whiteout(now):
                    owned = _was_owned(before, old_index, path, old)
                    owners.machines(path, _of_node(now, new), owned, _of_master(entry))
                if cut is None and (now.type != "d" or is_opaque(path, now, new)):
                    cut = path
                    if not every and entry is not None and entry.type == "d":
                        _hide_below(path, new_index, suspects)
            elif entry is not None and not hidden:
                owners.masters(path, _of_entry(entry))
        return suspects, owners

    def _sides(
        self, index: Whole, *, every: bool
    ) -> Iterator[tuple[bytes, Node | None, Node | None, Lower | None]]:
        """In canonical order what the old overlay, the new one and the new master have."""
        walked = both(*map(_walked, self._volumes))
        if not every:
            yield from ((path, before, now, index.at(path)) for path, before, now in walked)
            return
        nodes = ((path, (before, now)) for path, before, now in walked)
        for path, two, line in both(nodes, ((line.path, line) for line in index)):
            yield path, *(two or (None, None)), line


def _hide_below(folder: bytes, index: Whole, suspects: Suspects) -> None:
    for line in index.below(folder):
        suspects.masters(line.entry(), hidden=True)


def _numbers(index: Whole) -> Iterator[tuple[bool, int]]:
    """Of users and groups, to whom anything of a master belongs."""
    for user, group in index.numbers():
        yield True, user
        yield False, group
    for line in index.with_lists():
        yield from ((is_user, number) for _, is_user, number in _of_entry(line.entry()).numbers())


def _hides(node: Node | None, entry: Entry | None) -> bool:
    return node is not None and not (node.type == "d" and entry is not None and entry.type == "d")


def _was_owned(node: Node | None, index: Index, path: bytes, volume: Volume) -> Owned | None:
    if node is not None and not _is_whiteout(node):
        return _of_node(node, volume)
    return _of_master(line.entry() if (line := index.at(path)) is not None else None)


def _of_node(node: Node, volume: Volume) -> Owned:
    return Owned(mode=node.mode, uid=node.uid, gid=node.gid, xattrs=volume.xattrs(node))


def _of_entry(entry: Entry) -> Owned:
    return Owned(mode=entry.mode, uid=entry.uid, gid=entry.gid, xattrs=dict(entry.xattrs))


def _of_master(entry: Entry | None) -> Owned | None:
    return None if entry is None else _of_entry(entry)


def _known(source: Source) -> Known:
    return Known.of(read_accounts(source, Notes()))


def _walked(volume: Volume) -> Iterator[tuple[bytes, Node]]:
    """What is too deep, or in folders that are too large, is as it was, or the executor refused it."""
    return volume.walk(UPPER, lambda path, why: None)


def _is_whiteout(node: Node) -> bool:
    return node.type == "c" and node.rdev == (0, 0)
