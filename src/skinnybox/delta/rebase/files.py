"""All paths of a machine's upper directory, decided one after the other, and what is to be hidden or brought.

Held are only the folder that everything below is cut off by, and what the context counts.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic

from skinnybox.delta.rebase import one_file, pinned
from skinnybox.delta.rebase.context import Context, N, file, owner_told, settle
from skinnybox.delta.rebase.converged import Change
from skinnybox.delta.rebase.cuts import Cut, L, Line, is_changed, is_enablement
from skinnybox.delta.rebase.facts import Facts, of_entry
from skinnybox.delta.rebase.of_packages import by_package, concerned, of_diverted, unseen
from skinnybox.delta.rebase.one_file import three_way
from skinnybox.delta.rebase.rules import Choice
from skinnybox.delta.rebase.special import of_info, special
from skinnybox.delta.rebase.streams import Index, Place, is_below, places
from skinnybox.delta.rebase.values import Decision, Fate, FileClass, Standing
from skinnybox.delta.upper import OPAQUE, UpperNode
from skinnybox.masters.index import Entry

_WHITEOUT = (0, 0)
_FOREIGN = ("trusted.overlay.metacopy", "trusted.overlay.redirect", "trusted.overlay.whiteout")


def decisions(
    upper: Iterable[tuple[bytes, N]], old: Index[L], new: Index[L], context: Context[N]
) -> Iterator[Decision]:
    """In canonical order; that of a folder which hides what is below it comes behind all of that. Raises
    Corrupt for sides out of order, and what reading the upper raises."""
    judge = _Judge[N, L](context)
    also = concerned(context, old, new)
    for place in places(upper, old, new, also, opened=lambda: judge.cut):
        yield from judge.decide(place)
    yield from judge.end()


class _Judge(Generic[N, L]):
    def __init__(self, context: Context[N]) -> None:
        self._context = context
        self._cut: Cut | None = None

    def decide(self, place: Place[N, L]) -> Iterator[Decision]:
        if self._cut is not None:
            if is_below(place.path, self._cut.path):
                yield from self._below(self._cut, place)
                return
            yield from self.end()
        node = place.upper
        if node is None:
            yield from self._unseen(place)
        elif _is_whiteout(node):
            yield from self._deleted(place)
        elif node.type == "d":
            yield from self._folder(place, node)
        else:
            yield from self._file(place, node)

    def _unseen(self, place: Place[N, L]) -> Iterator[Decision]:
        old, new = _entry(place.old), _entry(place.new)
        if found := self._again(place):
            yield found
            if found.fate is not Fate.TAKE and (_is_folder(old) or _is_folder(new)):
                self._cut = Cut(place.path, FileClass(found.kind), settled=True)
        elif found := pinned.unseen(place.path, old, new, self._context):
            yield found
            if _is_folder(new):
                self._cut = Cut(place.path, FileClass(found.kind), settled=True)
        elif place.new is not None or place.old is not None:
            yield from unseen(place, self._context)

    def _again(self, place: Place[N, L]) -> Decision | None:
        """Of what was the machine's own, and its master's as well by then."""
        path, context = place.path, self._context
        if path not in context.converged or special(path) or of_info(path) or path in context.owners:
            return None
        return one_file.unseen(path, _entry(place.old), _entry(place.new), context)

    @property
    def cut(self) -> bytes | None:
        """What all that lies below is to be seen of."""
        return None if self._cut is None else self._cut.path

    def end(self) -> Iterator[Decision]:
        """Of what was cut off."""
        cut, self._cut = self._cut, None
        if cut is not None:
            yield from cut.end(self._context)

    def _below(self, cut: Cut, place: Place[N, L]) -> Iterator[Decision]:
        """Nothing is dropped below what stays and hides the master's: there would be nothing behind it."""
        cut.count(place, self._context)
        if place.upper is None:
            return
        if cut.dropped:
            yield self._below_taken(cut, place, place.upper)
            return
        self._context.strangers.see(place.path, place.upper, self._context.ownership_at(place.path))
        owner = owner_told(place.path, place.upper, self._context)
        yield file(place.path, FileClass.BELOW_OPAQUE, Fate.KEEP, owner=owner)

    def _below_taken(self, cut: Cut, place: Place[N, L], node: N) -> Decision:
        """In a new release a folder may be a link to another, as /lib is of usr/lib: what the machine has of
        its own there would go with it."""
        context = self._context
        whose = context.owners.get(place.path)
        own = place.old is None and node.type != "d" and not _is_whiteout(node) and whose is None
        own = own and special(place.path) is None and of_info(place.path) is None
        if own and context.policy.replay and not context.policy.is_named(cut.path):
            why = "its folder is another in the new master: move it in the machine, or --take the folder"
            return file(place.path, FileClass.TYPE, Fate.ASK, why, Standing.BLOCKED)
        return file(place.path, FileClass.BELOW_TAKEN, Fate.TAKE)

    def _deleted(self, place: Place[N, L]) -> Iterator[Decision]:
        path, old, new = place.path, _entry(place.old), _entry(place.new)
        kept = file(path, FileClass.DELETED, Fate.KEEP)
        if _is_folder(old) and _is_folder(new) and self._is_open(place, new):
            self._cut = Cut(path, FileClass.DELETE_MODIFY, kept)
            return
        yield self._about_deleted(place, new) or kept
        if _is_folder(old) or _is_folder(new):
            self._cut = Cut(path, FileClass.DELETE_MODIFY, dropped=True)

    def _is_open(self, place: Place[N, L], new: Entry | None) -> bool:
        """Whether what is below a folder that was deleted decides about it."""
        said = self._context.policy.choice(place.path) in (Choice.TAKE, Choice.PIN)
        return not said and self._by_what_it_is(place, new) is None

    def _about_deleted(self, place: Place[N, L], new: Entry | None) -> Decision | None:
        """None: it stays deleted, and nobody disputes that."""
        path, context = place.path, self._context
        choice = context.policy.choice(path)
        if found := self._by_what_it_is(place, new):
            return found
        if new is None:
            self._remember_deleted(place)
            return file(path, FileClass.STALE, Fate.TAKE, "the new master has it no more")
        if choice is Choice.TAKE:
            return file(path, FileClass.DELETED, Fate.TAKE, "as was said: it comes back")
        same = place.old and place.new and not is_changed(place.old, place.new, context)
        change = context.converged.at(path)
        same = same or (change is not None and change.base == of_entry(new, None))
        if choice is Choice.PIN or (same and not context.is_anew(path)):
            return None
        return settle(context.policy, path, FileClass.DELETE_MODIFY, "the new master has another")

    def _remember_deleted(self, place: Place[N, L]) -> None:
        """Not of a folder that systemctl takes away with the last link in it: that decides about those."""
        old, context = _entry(place.old), self._context
        if old is not None and not is_enablement(place.path):
            context.converged.remember(
                place.path, Change(of_entry(old, context.ownership_at(place.path)), None)
            )

    def _by_what_it_is(self, place: Place[N, L], new: Entry | None) -> Decision | None:
        """Of paths that no comparison can decide. What is said of a path wins, but over records: they tell
        what is there, whoever would like it otherwise."""
        path, what = place.path, special(place.path)
        said = self._context.policy.choice(path) in (Choice.TAKE, Choice.PIN)
        if said and of_info(path) is None and (what is None or what.kind is not FileClass.RECORD):
            return None
        found = of_diverted(place, self._context) or by_package(place, self._context)
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
        found = self._by_what_it_is(place, new) or self._of_gone(place, node)
        if found is None:
            self._context.bound.see(path)
            found = three_way(path, node, _entry(place.old), new, self._context)
        elif found.fate in (Fate.KEEP, Fate.MERGE):
            self._context.strangers.see(path, node, self._context.ownership_at(path))
            owner = owner_told(path, node, self._context)
            found = file(path, FileClass(found.kind), found.fate, found.detail, found.standing, owner)
        if found is not None:
            yield found
            if _is_folder(new) or _is_folder(_entry(place.old)):
                self._cut = Cut(path, FileClass.OPAQUE, dropped=found.fate is Fate.TAKE)

    def _of_gone(self, place: Place[N, L], node: N) -> Decision | None:
        """What only a package that goes has any use for, and is made again with it."""
        dangling, path = self._context.dangling, place.path
        if dangling is None or place.old is not None or place.new is not None:
            return None
        if self._context.policy.is_named(path):
            return None
        if node.type == "l" and dangling.goes(path, self._context.reader.target(node)):
            return file(path, FileClass.OF_PACKAGE, Fate.TAKE, "what it leads to goes with its package")
        if node.type == "-" and dangling.is_helpers(path):
            return file(path, FileClass.OF_PACKAGE, Fate.TAKE, "about links that go with their package")
        return None

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
            self._cut = Cut(path, FileClass.TYPE, dropped=taken)
        elif path and xattrs.get(OPAQUE) == b"y":
            yield from self._opaque(path, old, new)

    def _opaque(self, path: bytes, old: Entry | None, new: Entry | None) -> Iterator[Decision]:
        """The kernel marks a folder that was renamed into its place, as dpkg does, like one that took
        another's place. It is somebody's decision only where the old master had that folder; or the one of
        before had it, which is remembered as long as none has."""
        choice, before = self._context.policy.choice(path), self._deleted_before(path)
        if (_is_folder(old) or before is not None) and choice is not Choice.TAKE:
            if new is None and old is not None and not is_enablement(path):
                change = Change(of_entry(old, self._context.ownership_at(path)), None)
                self._context.converged.remember(path, change)
            kept = file(path, FileClass.OPAQUE, Fate.KEEP)
            back = new is not None and of_entry(new, None) == before
            self._cut = Cut(path, FileClass.OPAQUE, kept, settled=back or choice is Choice.PIN)
        else:
            detail = "no folder of the old master is below it" if old is None else "as was said"
            yield file(path, FileClass.OPAQUE, Fate.CLEAR, detail)

    def _deleted_before(self, path: bytes) -> Facts | None:
        """What the machine had deleted there, and its master had no more since."""
        change = self._context.converged.at(path)
        return None if change is None or change.mine is not None else change.base


def _entry(line: Line | None) -> Entry | None:
    return None if line is None else line.entry()


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.type == "d"


def _is_whiteout(node: UpperNode) -> bool:
    return node.type == "c" and node.rdev == _WHITEOUT
