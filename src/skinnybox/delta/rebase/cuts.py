"""A path of the upper directory that hides, or drops, what lies below it: what follows is known when all of
that was seen."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

from skinnybox.delta.rebase.context import Context, N, file, settle
from skinnybox.delta.rebase.facts import of_entry
from skinnybox.delta.rebase.streams import Lower, Place
from skinnybox.delta.rebase.values import Decision, Fate, FileClass


class Line(Lower, Protocol):
    def same(self, other: Self, /) -> bool: ...


L = TypeVar("L", bound=Line)
_ENABLEMENT = re.compile(rb"etc/systemd/(?:system|user)/[^/]+\.(?:wants|requires)")


@dataclass(slots=True)
class Cut:
    """The outermost one. `decision` is told in the end, unless something is in dispute; `settled`: somebody
    said that it is not.

    Counted are files below it: the old master's, and those of them that packages had which the machine itself
    changed; the new master's that are to be seen, and of these the ones that are otherwise than before. Those
    that are to be hidden, whatever becomes of the cut, are held: they are paths of such packages."""

    path: bytes
    kind: FileClass
    decision: Decision | None = None
    dropped: bool = False
    settled: bool = False
    old: int = 0
    old_of_packages: int = 0
    seen: int = 0
    changed: int = 0
    hidden: list[bytes] = field(default_factory=list)

    def count(self, place: Place[N, L], context: Context[N]) -> None:
        """One place below it."""
        owned = context.owners.get(place.path)
        if place.old is not None and place.old.entry().type != "d":
            self.old += 1
            self.old_of_packages += owned is not None and owned.old
        if place.new is None:
            return
        if owned is not None and owned.new and owned.package.fate in (Fate.HIDE, Fate.KEEP):
            self.hidden.append(place.path)
            return
        if self.is_enablement and place.old is not None:
            if place.upper is None:
                self.hidden.append(place.path)
            return
        self.seen += place.new.entry().type != "d"
        self.changed += is_changed(place.old, place.new, context)

    def end(self, context: Context[N]) -> Iterator[Decision]:
        """What is told of it, and of what has to be hidden one by one where it goes."""
        if self._is_of_packages:
            yield from self._of_packages()
        elif self.is_enablement and not (self.dropped or self.settled):
            yield from self._enablement()
        elif self.changed and not (self.dropped or self.settled):
            detail = f"hides {self.changed} paths below it that the new master has otherwise than the old one"
            yield settle(context.policy, self.path, self.kind, detail)
        elif self.decision is not None:
            yield self.decision

    @property
    def is_enablement(self) -> bool:
        """Whether it is a folder of what systemd starts. systemctl takes it away with the last link in it,
        and makes it anew with the next: that decides about those links, and about no other."""
        return is_enablement(self.path)

    def _enablement(self) -> Iterator[Decision]:
        if not self.seen:
            if self.decision is not None:
                yield self.decision
            return
        detail = "what it was deleted for is hidden, and what is new is not"
        if self.kind is FileClass.OPAQUE:
            yield file(self.path, self.kind, Fate.CLEAR, detail)
        else:
            yield file(self.path, FileClass.DELETED, Fate.TAKE, detail)
        for path in self.hidden:
            yield file(path, FileClass.DELETED, Fate.HIDE, "it was disabled")

    @property
    def _is_of_packages(self) -> bool:
        """Whether a folder was deleted since nothing was left in it, after what the machine did to packages:
        that decides about those, and about nothing else that the new master may put there."""
        deleted = self.kind is FileClass.DELETE_MODIFY and not (self.settled or self.dropped)
        return deleted and self.old > 0 and self.old == self.old_of_packages

    def _of_packages(self) -> Iterator[Decision]:
        if not self.seen:
            if self.decision is not None:
                yield self.decision
            return
        yield file(self.path, FileClass.OF_PACKAGE, Fate.TAKE, "it was deleted with what packages had in it")
        for path in self.hidden:
            yield file(
                path, FileClass.GROWN, Fate.HIDE, "of a package that the machine has otherwise, or not"
            )


def is_enablement(path: bytes) -> bool:
    return _ENABLEMENT.fullmatch(path) is not None


def is_changed(old: L | None, new: L, context: Context[N]) -> bool:
    """Whether the new master has it otherwise than the old one; that it is gone is no matter below a cut."""
    if old is None:
        return new.entry().type != "d"
    if old.same(new) and not context.ownership.moves:
        return False
    entry = new.entry()
    return of_entry(old.entry(), context.ownership_at(entry.path)) != of_entry(entry, None)
