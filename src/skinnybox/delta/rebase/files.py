"""All paths of a machine's upper directory, decided one after the other, and what is to be hidden or brought.

Held are only the folder that everything below is cut off by, and what the context counts.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from skinnybox.delta.join import OPAQUE, UpperNode
from skinnybox.delta.rebase.context import Context, N, file, owner_told, settle
from skinnybox.delta.rebase.facts import of_entry
from skinnybox.delta.rebase.of_packages import by_package, unseen
from skinnybox.delta.rebase.one_file import three_way
from skinnybox.delta.rebase.rules import Choice
from skinnybox.delta.rebase.special import of_info, special
from skinnybox.delta.rebase.streams import Lower, Place, is_below, places
from skinnybox.delta.rebase.values import Decision, Fate, FileClass, Standing
from skinnybox.masters.index import Entry

_WHITEOUT = (0, 0)
_FOREIGN = ("trusted.overlay.metacopy", "trusted.overlay.redirect", "trusted.overlay.whiteout")


class Line(Lower, Protocol):
    def same(self, other: Self, /) -> bool: ...


L = TypeVar("L", bound=Line)


@dataclass(slots=True)
class _Cut:
    """A path that hides, or drops, what lies below it: the outermost one."""

    path: bytes
    kind: FileClass
    decision: Decision | None = None
    """Told when all below was seen: what is hidden may be a dispute."""
    dropped: bool = False
    settled: bool = False
    changed: int = 0
    """Of the new master's paths below it, those that were otherwise; and all, and those of packages that are
    taken, whatever the machine's version did there."""
    hidden: int = 0
    taken: int = 0


def decisions(
    upper: Iterable[tuple[bytes, N]], old: Iterable[L], new: Iterable[L], context: Context[N]
) -> Iterator[Decision]:
    """In canonical order; that of a folder which hides what is below it comes behind all of that. Raises
    Corrupt for sides out of order, and what reading the upper raises."""
    judge = _Judge[N, L](context)
    for place in places(upper, old, new):
        yield from judge.decide(place)
    yield from judge.end()


class _Judge(Generic[N, L]):
    def __init__(self, context: Context[N]) -> None:
        self._context = context
        self._cut: _Cut | None = None

    def decide(self, place: Place[N, L]) -> Iterator[Decision]:
        if self._cut is not None:
            if is_below(place.path, self._cut.path):
                yield from self._below(self._cut, place)
                return
            yield from self.end()
        node = place.upper
        if node is None:
            if place.new is not None or place.old is not None:
                yield from unseen(place, self._context)
        elif _is_whiteout(node):
            yield from self._deleted(place)
        elif node.type == "d":
            yield from self._folder(place, node)
        else:
            yield from self._file(place, node)

    def end(self) -> Iterator[Decision]:
        """Of what was cut off."""
        cut, self._cut = self._cut, None
        if cut is None:
            return
        if cut.hidden and cut.hidden == cut.taken and cut.kind is FileClass.DELETE_MODIFY and not cut.settled:
            yield file(
                cut.path, FileClass.OF_PACKAGE, Fate.TAKE, "all below it is of packages that are taken"
            )
        elif cut.changed and not (cut.dropped or cut.settled):
            path = cut.path
            detail = f"hides {cut.changed} paths below it that the new master has otherwise than the old one"
            yield settle(self._context.policy, path, cut.kind, detail)
        elif cut.decision is not None:
            yield cut.decision

    def _below(self, cut: _Cut, place: Place[N, L]) -> Iterator[Decision]:
        """Nothing is dropped below what stays and hides the master's: there would be nothing behind it."""
        if place.new is not None:
            self._count(cut, place.path, place.old, place.new)
        if place.upper is None:
            return
        if cut.dropped:
            yield file(place.path, FileClass.BELOW_TAKEN, Fate.TAKE)
            return
        self._context.strangers.see(place.path, place.upper, self._context.ownership)
        owner = owner_told(place.upper, self._context)
        yield file(place.path, FileClass.BELOW_OPAQUE, Fate.KEEP, owner=owner)

    def _count(self, cut: _Cut, path: bytes, old: L | None, new: L) -> None:
        """What a package has that the machine removed, or has otherwise, is hidden by rights."""
        owned = self._context.owners.get(path)
        fate = None if owned is None else owned.package.fate
        cut.hidden += new.entry().type != "d"
        cut.taken += fate is Fate.TAKE
        cut.changed += fate not in (Fate.HIDE, Fate.KEEP) and self._is_changed(old, new)

    def _is_changed(self, old: L | None, new: L) -> bool:
        if old is None:
            return new.entry().type != "d"
        if old.same(new) and not self._context.ownership.moves:
            return False
        return of_entry(old.entry(), self._context.ownership) != of_entry(new.entry(), None)

    def _deleted(self, place: Place[N, L]) -> Iterator[Decision]:
        path, context = place.path, self._context
        old, new = _entry(place.old), _entry(place.new)
        choice = context.policy.choice(path)
        if found := self._by_what_it_is(place, new):
            yield found
            self._hide(path, new)
            return
        if new is None:
            yield file(path, FileClass.STALE, Fate.TAKE, "the new master has it no more")
            return
        kept = file(path, FileClass.DELETED, Fate.KEEP)
        if choice is Choice.TAKE:
            yield file(path, FileClass.DELETED, Fate.TAKE, "as was said: it comes back")
        elif choice is Choice.PIN:
            yield kept
            self._hide(path, new)
        elif old is not None and old.type == new.type == "d":
            self._cut = _Cut(path, FileClass.DELETE_MODIFY, kept)
        elif place.old is not None and place.new is not None and not self._is_changed(place.old, place.new):
            yield kept
        else:
            found = settle(context.policy, path, FileClass.DELETE_MODIFY, "the new master has another")
            yield found
            if found.fate is not Fate.TAKE:
                self._hide(path, new)

    def _hide(self, path: bytes, new: Entry | None) -> None:
        if new is not None and new.type == "d":
            self._cut = _Cut(path, FileClass.DELETE_MODIFY, dropped=True)

    def _by_what_it_is(self, place: Place[N, L], new: Entry | None) -> Decision | None:
        """Of paths that no comparison can decide. What is said of a path wins, but over records: they tell
        what is there, whoever would like it otherwise."""
        path, what = place.path, special(place.path)
        said = self._context.policy.choice(path) in (Choice.TAKE, Choice.PIN)
        if said and of_info(path) is None and (what is None or what.kind is not FileClass.RECORD):
            return None
        found = by_package(place, self._context)
        if found is not None or what is None:
            return found
        if what.kind is FileClass.INEFFECTIVE:
            return file(path, what.kind, Fate.REPORT if new is None else Fate.TAKE, what.with_what)
        fates = {
            FileClass.GENERATED: Fate.REGENERATE,
            FileClass.RECORD: Fate.MERGE,
            FileClass.IDENTITY: Fate.KEEP,
            FileClass.LOCAL: Fate.KEEP,
        }
        return file(path, what.kind, fates[what.kind], what.with_what)

    def _file(self, place: Place[N, L], node: N) -> Iterator[Decision]:
        path, new = place.path, _entry(place.new)
        marks = [mark for mark in _FOREIGN if mark in self._context.reader.xattrs(node)]
        if marks:
            detail = f"another kernel's way to keep it ({marks[0]}): its content is not here"
            yield file(path, FileClass.UNREAD, Fate.ASK, detail, Standing.BLOCKED)
            return
        found = self._by_what_it_is(place, new)
        if found is None:
            self._context.bound.see(path)
            found = three_way(path, node, _entry(place.old), new, self._context)
        elif found.fate in (Fate.KEEP, Fate.MERGE):
            self._context.strangers.see(path, node, self._context.ownership)
            owner = owner_told(node, self._context)
            found = file(path, FileClass(found.kind), found.fate, found.detail, found.standing, owner)
        if found is not None:
            yield found
            if new is not None and new.type == "d" and found.fate is not Fate.TAKE:
                self._cut = _Cut(path, FileClass.OPAQUE)

    def _folder(self, place: Place[N, L], node: N) -> Iterator[Decision]:
        path, old, new = place.path, _entry(place.old), _entry(place.new)
        xattrs: Mapping[str, bytes] = self._context.reader.xattrs(node)
        if "trusted.overlay.redirect" in xattrs:
            detail = "another kernel's way to rename a folder: what is in it is elsewhere"
            yield file(path, FileClass.UNREAD, Fate.ASK, detail, Standing.BLOCKED)
            return
        found = three_way(path, node, old, new, self._context)
        if found is not None:
            yield found
        if new is not None and new.type != "d":
            taken = found is not None and found.fate is Fate.TAKE
            self._cut = _Cut(path, FileClass.TYPE, dropped=taken)
        elif path and xattrs.get(OPAQUE) == b"y":
            yield from self._opaque(path, old, new)

    def _opaque(self, path: bytes, old: Entry | None, new: Entry | None) -> Iterator[Decision]:
        """The kernel marks a folder that was renamed into its place, as dpkg does, like one that took
        another's place. It is somebody's decision only where the old master had that folder."""
        if old is not None and old.type == "d" and self._context.policy.choice(path) is not Choice.TAKE:
            pinned = self._context.policy.choice(path) is Choice.PIN
            kept = file(path, FileClass.OPAQUE, Fate.KEEP)
            self._cut = _Cut(path, FileClass.OPAQUE, kept, settled=pinned)
        else:
            detail = "no folder of the old master is below it" if old is None else "as was said"
            yield file(path, FileClass.OPAQUE, Fate.CLEAR, detail)


def _entry(line: Line | None) -> Entry | None:
    return None if line is None else line.entry()


def _is_whiteout(node: UpperNode) -> bool:
    return node.type == "c" and node.rdev == _WHITEOUT
