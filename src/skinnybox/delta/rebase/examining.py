"""The half of the gate that needs no machine: what a confined process finds in the new overlay over the new
master, compared with the old one over the old master, and checked here."""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from skinnybox.delta.join import sort_key
from skinnybox.delta.rebase.findings import LIBRARIES, MOST, OWNERS, Finding, FindingKind
from skinnybox.delta.rebase.hurt import Suspects, Trees, is_opaque, lacking, suspected
from skinnybox.delta.rebase.libraries import Libraries
from skinnybox.delta.rebase.masters import Files, buffered
from skinnybox.delta.rebase.merged_source import UPPER
from skinnybox.delta.rebase.same_owners import Known, Owned, Owners
from skinnybox.delta.rebase.seen import Seen
from skinnybox.delta.rebase.streams import Lower, is_below
from skinnybox.delta.settled import NO_ANSWER, refuse_unsettled
from skinnybox.errors import Corrupt
from skinnybox.ext4 import Node, Volume, open_descriptor
from skinnybox.masters.index import Entry, plain_lines
from skinnybox.masters.system import dpkg, image
from skinnybox.masters.system.accounts import read_accounts
from skinnybox.masters.system.image import Sealed
from skinnybox.masters.system.source import Notes, Source
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

_READ_PER_SECOND = 5 << 20
_LONGEST = 1000
_DPKG = dpkg.FOLDER


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
    masters: tuple[Files, Files],
    kinds: frozenset[FindingKind] = OWNERS | LIBRARIES,
) -> Examined:
    """Of a machine's overlay and what a rebase made of it, both clean. Nothing is written. Of `kinds` alone:
    only so many findings are told, and what nobody asked for leaves room for what he did. Raises Corrupt,
    also for a disk made to hurt."""
    with opened(old) as before, opened(new) as after:
        size = sum(os.fstat(each).st_size for each in (before, after, masters[1].image))
        bounds = Bounds(memory=2 << 30, cpu_seconds=300 + size // _READ_PER_SECOND)
        files = [before, after, *masters[0].all, *masters[1].all]
        words = [*map(str, files), ",".join(sorted(kinds))]
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
    *files, kinds = arguments
    answer(_told(frozenset(map(FindingKind, kinds.split(","))), *map(int, files)))


def _told(
    kinds: frozenset[FindingKind], old: int, new: int, old_index: int, _: int, old_image: int,
    new_index: int, __: int, new_image: int,
) -> Iterator[Any]:  # fmt: skip
    volumes = open_descriptor(old), open_descriptor(new)
    for volume in volumes:
        yield volume.superblock.clean
        if not volume.superblock.clean:
            return
    sealed = image.opened(old_image), image.opened(new_image)
    examination = Examination(volumes, sealed)
    indexes = plain_lines(buffered(old_index)), plain_lines(buffered(new_index))
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
        self.has_dpkg = any(seen.names(_DPKG) for seen in self._seen)
        self.packages = not all(seen.untouched(_DPKG) for seen in self._seen)
        self.programs = 0

    def findings(
        self, old_index: Iterable[Lower], new_index: Iterable[Lower], kinds: frozenset[FindingKind]
    ) -> Iterator[Finding]:
        """Raises Corrupt for indexes out of order, and as reading the volumes does."""
        suspects = Suspects()
        owners = Owners(*map(_known, (*self._seen, self._master)))
        self._gather(old_index, new_index, suspects, owners)
        yield from (each for each in owners.findings() if each.kind in kinds)
        if not kinds & LIBRARIES:
            return
        new, old, master = (Libraries(tree) for tree in (self._seen[1], self._seen[0], self._master))
        trees = Trees(new=new, old=old, master=master)
        yield from lacking(self._counted(suspected(suspects, trees)), trees)

    def _counted(self, paths: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
        for each in paths:
            self.programs += 1
            yield each

    def _gather(
        self, old_index: Iterable[Lower], new_index: Iterable[Lower], suspects: Suspects, owners: Owners
    ) -> None:
        old, new = self._volumes
        cut: bytes | None = None
        for path, sides in _together(_walked(old), _walked(new), _lines(old_index), _lines(new_index)):
            before, now, old_line, new_line = sides
            if cut is not None and not is_below(path, cut):
                cut = None
            entry = None if new_line is None else new_line.entry()
            hidden = cut is not None or _hides(now, entry)
            if entry is not None:
                suspects.masters(entry, hidden=hidden)
            if now is not None:
                suspects.mine(path, now, new)
                if not _is_whiteout(now):
                    owned = _was_owned(before, old_line, old)
                    owners.machines(path, _of_node(now, new), owned, _of_master(entry))
                if cut is None and (now.type != "d" or is_opaque(path, now, new)):
                    cut = path
            elif entry is not None and not hidden:
                owners.masters(path, _of_entry(entry))


def _hides(node: Node | None, entry: Entry | None) -> bool:
    return node is not None and not (node.type == "d" and entry is not None and entry.type == "d")


def _was_owned(node: Node | None, line: Lower | None, volume: Volume) -> Owned | None:
    if node is not None and not _is_whiteout(node):
        return _of_node(node, volume)
    return None if line is None else _of_entry(line.entry())


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


def _lines(index: Iterable[Lower]) -> Iterator[tuple[bytes, Lower]]:
    return ((line.path, line) for line in index)


_Sides = tuple[Node | None, Node | None, Lower | None, Lower | None]


def _together(
    old: Iterator[tuple[bytes, Node]],
    new: Iterator[tuple[bytes, Node]],
    old_index: Iterator[tuple[bytes, Lower]],
    new_index: Iterator[tuple[bytes, Lower]],
) -> Iterator[tuple[bytes, _Sides]]:
    """Every path of any of them, in canonical order, with what each has there."""
    streams: tuple[Iterator[tuple[bytes, Any]], ...] = (old, new, old_index, new_index)
    keyed = [_keyed(number, stream) for number, stream in enumerate(streams)]
    for _, group in groupby(heapq.merge(*keyed, key=itemgetter(0, 1)), key=itemgetter(0)):
        found = {number: (path, item) for _, number, path, item in group}
        sides = [found.get(number, (b"", None))[1] for number in range(len(streams))]
        yield next(iter(found.values()))[0], (sides[0], sides[1], sides[2], sides[3])


def _keyed(number: int, stream: Iterator[tuple[bytes, Any]]) -> Iterator[tuple[bytes, int, bytes, Any]]:
    for path, item in stream:
        yield sort_key(path), number, path, item


def _is_whiteout(node: Node) -> bool:
    return node.type == "c" and node.rdev == (0, 0)
