"""What one machine has and another has not, or has otherwise: two overlays, each seen over its own master,
read by one confined process. Times are no difference: nobody sets them alike in two machines."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skinnybox.delta import leading
from skinnybox.delta.archive.content import held_sum
from skinnybox.delta.as_seeded import Expected, as_seeded, decode, encode
from skinnybox.delta.flags import flags
from skinnybox.delta.groups import group_of
from skinnybox.delta.handing import handed
from skinnybox.delta.judging import Judge
from skinnybox.delta.listing import Sealed
from skinnybox.delta.rebase.reading import buffered
from skinnybox.delta.rebase.streams import both, is_below
from skinnybox.delta.rebase.upper_reader import UpperReader
from skinnybox.delta.seed_marks import marked
from skinnybox.delta.settled import refuse_unsettled
from skinnybox.delta.telling import change_checked, change_told, facts_checked, facts_told
from skinnybox.delta.upper import OPAQUE, kept_xattrs, sort_key
from skinnybox.delta.upper_disk import UPPER
from skinnybox.delta.whose import Whose, of_two
from skinnybox.ext4 import Node, Volume, open_descriptor
from skinnybox.masters.index import Line, read_lines
from skinnybox.model import Change, ChangeKind, Look
from skinnybox.model.changes import Group
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

_HASHED_PER_SECOND = 20 << 20
_MOST_SUMS = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One of the two: its overlay, its master, and what its seed brought."""

    disk: Path
    sealed: Sealed
    expected: Expected


@contextmanager
def compared(
    one: Machine, other: Machine, *, include_seed: bool, paths: Sequence[bytes] = ()
) -> Iterator[Look]:
    """From the other to the one: what only the one has is added, what only the other has is deleted. Both
    disks are settled. What is in either just as its seed has it is left out, or marked. `paths` are looked
    for where they lead in either. Entering and the iteration raise Corrupt, also for a disk made to hurt."""
    with ExitStack() as held:
        files: list[int] = []
        for each in (one, other):
            sealed = each.sealed
            assert sealed.image is not None
            files += [held.enter_context(opened(path)) for path in (each.disk, sealed.index, sealed.image)]
            files.append(held.enter_context(handed(b"") if sealed.system is None else opened(sealed.system)))
            files.append(held.enter_context(handed(encode(each.expected))))
        size = sum(os.fstat(files[at]).st_size for at in (0, _EACH))
        bounds = Bounds(memory=2 << 30, cpu_seconds=300 + size // _HASHED_PER_SECOND, output=1 << 40)
        subject = f"{one.disk} or {other.disk}"
        files.append(held.enter_context(handed(leading.to_text(paths))))
        words = list(map(str, files))
        answers = held.enter_context(inquire(__name__, words, subject=subject, bounds=bounds, pass_fds=files))
        for each in (one, other):
            refuse_unsettled(answers, each.disk)
        facts = tuple(facts_checked(answers))
        lying = tuple(leading.seen_checked(answers, 2 * len(paths)))
        changes = marked(map(change_checked, answers), include_seed=include_seed)
        yield Look(facts=facts, changes=changes, paths=lying)


_EACH = 5
"""Files of each."""


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    *files, asked = map(int, arguments)
    answer(_told(files[:_EACH], files[_EACH:], leading.of_text(asked)))


def _told(one: list[int], other: list[int], asked: Sequence[bytes] = ()) -> Iterator[Any]:
    volumes = open_descriptor(one[0]), open_descriptor(other[0])
    for volume in volumes:
        yield volume.superblock.clean
        if not volume.superblock.clean:
            return
    whose = of_two((volumes[0], one[2], one[3]), (volumes[1], other[2], other[3]))
    sides = [Side(volume, files, of) for volume, files, of in zip(volumes, (one, other), whose, strict=True)]
    yield from facts_told(whose[0].facts)
    for volume, files in zip(volumes, (one, other), strict=True):
        yield from leading.seen_told(asked, volume, files[2])
    for path, a, b in both(sides[0].seen(), sides[1].seen()):
        change = _compared(path, sides[0], a, sides[1], b)
        if change is not None:
            yield change_told(*_judged(change, sides, (a, b)))


@dataclass(frozen=True, slots=True)
class Thing:
    """What a machine sees at a path: its own `node`, then `line` is what that hides; or its master's."""

    node: Node | None
    line: Line | None


class Side:
    """One machine, as it is read in the child."""

    def __init__(self, volume: Volume, files: list[int], whose: Whose) -> None:
        self.volume, self.whose = volume, whose
        self.judge = Judge(volume=volume, whose=whose)
        with os.fdopen(files[4], "rb") as told:
            self.expected = decode(told.read())
        self._index = files[1]
        self._reader = UpperReader(volume)
        self._sums: dict[int, str] = {}

    def seen(self) -> Iterator[tuple[bytes, Thing]]:
        """All that it sees, in canonical order."""
        return seen(self.volume, read_lines(buffered(self._index)))

    def content(self, thing: Thing, *, on_disks: bool) -> object:
        """By which two of a type are told apart; a file's is a digest. Of two that are `on_disks` it costs
        what they hold: a guest makes files of terabytes for nothing, and no master has one as long."""
        if thing.node is None:
            assert thing.line is not None
            entry = thing.line.entry()
            return {"-": entry.digest, "l": entry.target}.get(entry.type, entry.rdev)
        node = thing.node
        if node.type == "-":
            return self._sum(node) if on_disks else self._reader.digest(node)
        return self._reader.target(node) if node.type == "l" else os.makedev(*node.rdev)

    def _sum(self, node: Node) -> str:
        """Once of what has many names."""
        found = self._sums.get(node.inode) or held_sum(self.volume, node)
        if node.links > 1 and len(self._sums) < _MOST_SUMS:
            self._sums[node.inode] = found
        return found

    def rights(self, thing: Thing) -> tuple[int, str, Mapping[str, bytes], str]:
        """Mode, owner, attributes and flags."""
        if thing.node is None:
            assert thing.line is not None
            entry = thing.line.entry()
            return entry.mode, f"{entry.uid}:{entry.gid}", kept_xattrs(dict(entry.xattrs)), ""
        node = thing.node
        xattrs = self._reader.xattrs(node)
        return node.mode, f"{node.uid}:{node.gid}", kept_xattrs(xattrs), flags(node.flags, xattrs)

    def judged(self, path: bytes, thing: Thing | None) -> Change | None:
        """Of what it has of its own there, and not only sees."""
        if thing is None or thing.node is None:
            return None
        node, kind = thing.node, ChangeKind.ADDED if thing.line is None else ChangeKind.MODIFIED
        change = Change(path=path, kind=kind, type=node.type, size=node.size)
        return self.judge.judged(change, node, stray=True)

    def is_seeds(self, path: bytes, thing: Thing | None) -> bool | None:
        """None: it has nothing of its own there."""
        if thing is None or thing.node is None:
            return None
        kind = ChangeKind.ADDED if thing.line is None else ChangeKind.MODIFIED
        change = Change(path=path, kind=kind, type=thing.node.type)
        entry = None if thing.line is None else thing.line.entry()
        return as_seeded(self.volume, change, thing.node, entry, self.expected) is True


def seen(volume: Volume, index: Iterator[Line]) -> Iterator[tuple[bytes, Thing]]:
    """The upper directory over the index. What is too deep, or in too large a folder, is passed by."""
    head = next(index, None)
    cut: bytes | None = None
    for path, node in volume.walk(UPPER, lambda path, why: None):
        key = sort_key(path)
        while head is not None and sort_key(head.path) < key:
            if cut is None or not is_below(head.path, cut):
                yield head.path, Thing(None, head)
            head = next(index, None)
        line = None
        if head is not None and head.path == path:
            line, head = head, next(index, None)
        hidden = cut is not None and is_below(path, cut)
        if not hidden and (node.type != "d" or _hides(volume, path, node, line)):
            cut = path
        if node.type != "c" or node.rdev != (0, 0):
            yield path, Thing(node, None if hidden else line)
    while head is not None:
        if cut is None or not is_below(head.path, cut):
            yield head.path, Thing(None, head)
        head = next(index, None)


def _hides(volume: Volume, path: bytes, node: Node, line: Line | None) -> bool:
    if line is not None and not line.is_folder():
        return True
    return path != b"" and volume.xattrs(node).get(OPAQUE) == b"y"


def _compared(path: bytes, one: Side, a: Thing | None, other: Side, b: Thing | None) -> Change | None:
    if a is None or b is None:
        there = a or b
        assert there is not None
        kind = ChangeKind.ADDED if b is None else ChangeKind.DELETED
        return Change(path=path, kind=kind, type=_type(there), size=_size(there))
    lines = [thing.line for thing in (a, b) if thing.node is None and thing.line is not None]
    if len(lines) == 2 and lines[0].same(lines[1]):
        return None
    if _type(a) != _type(b):
        return Change(path=path, kind=ChangeKind.TYPE, type=_type(a), size=_size(a),
                      detail=f"{_type(b)} -> {_type(a)}")  # fmt: skip
    detail = ", ".join(_rights(_type(a), other.rights(b), one.rights(a)))
    if _type(a) not in "dps" and _content_differs(one, a, other, b):
        return Change(path=path, kind=ChangeKind.MODIFIED, type=_type(a), size=_size(a), detail=detail)
    if detail:
        return Change(path=path, kind=ChangeKind.METADATA, type=_type(a), size=_size(a), detail=detail)
    return None


def _content_differs(one: Side, a: Thing, other: Side, b: Thing) -> bool:
    if _size(a) != _size(b):
        return True
    on_disks = a.node is not None and b.node is not None
    return one.content(a, on_disks=on_disks) != other.content(b, on_disks=on_disks)


Rights = tuple[int, str, Mapping[str, bytes], str]


def _rights(letter: str, before: Rights, after: Rights) -> Iterator[str]:
    if before[0] != after[0] and letter != "l":
        yield f"mode {before[0]:o} -> {after[0]:o}"
    if before[1] != after[1]:
        yield f"owner {before[1]} -> {after[1]}"
    old, new = before[2], after[2]
    if names := [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]:
        yield f"xattrs {' '.join(names)}"
    if before[3] != after[3]:
        yield f"flags {before[3] or '-'} -> {after[3] or '-'}"


def _judged(
    change: Change, sides: list[Side], things: tuple[Thing | None, Thing | None]
) -> tuple[Change, bool | None]:
    """What it is about, by whichever has something of its own there; it is told elsewhere, or is noise or the
    seed's, only where that holds of both."""
    pairs = list(zip(sides, things, strict=True))
    own = [found for side, thing in pairs if (found := side.judged(change.path, thing)) is not None]
    seeds = [known for side, thing in pairs if (known := side.is_seeds(change.path, thing)) is not None]
    is_seeds = True if seeds and all(seeds) else None
    if not own:
        return _of_masters(change, sides), is_seeds
    shown = next((found for found in own if not found.folded), own[0])
    noise = own[0].noise if all(found.noise for found in own) else ""
    folded = all(found.folded for found in own)
    return replace(change, group=shown.group, package=shown.package, folded=folded, noise=noise), is_seeds


def _of_masters(change: Change, sides: list[Side]) -> Change:
    """What neither machine wrote: their masters differ, or one of them has deleted it."""
    owned = next(filter(None, (side.whose.owned.get(change.path) for side in sides)), None)
    if owned is not None:
        return replace(change, group=Group.PACKAGES, package=owned.package, folded=True)
    if change.type == "d" and any(change.path in side.whose.above for side in sides):
        return replace(change, group=Group.PACKAGES, folded=True)
    return replace(change, group=group_of(change.path))


def _type(thing: Thing) -> str:
    if thing.node is not None:
        return thing.node.type
    assert thing.line is not None
    return thing.line.entry().type


def _size(thing: Thing) -> int:
    if thing.node is not None:
        return thing.node.size if thing.node.type in "-l" else 0
    assert thing.line is not None
    return thing.line.entry().size
