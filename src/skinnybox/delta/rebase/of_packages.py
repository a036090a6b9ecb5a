"""Paths that go their package's way."""

import heapq
from collections.abc import Iterator
from typing import TypeVar

from skinnybox.delta.rebase import pinned
from skinnybox.delta.rebase.context import Context, N, file, is_systems, text_of
from skinnybox.delta.rebase.owners import Owned
from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.special import INFO, of_info
from skinnybox.delta.rebase.streams import Index, Lower, Place
from skinnybox.delta.rebase.values import Decision, Fate, FileClass, Standing
from skinnybox.delta.upper import sort_key

L = TypeVar("L", bound=Lower)


def by_package(place: Place[N, L], context: Context[N]) -> Decision | None:
    """Of what the machine has, or deleted. None: its package says nothing about it."""
    info = of_info(place.path)
    if info is not None:
        package = package_of(info, context)
        if package is None:
            gone = "what dpkg knew of a package that is gone"
            replays = context.policy.replay
            return file(place.path, FileClass.OF_PACKAGE, Fate.TAKE, gone) if replays else None
        kept, name = package.touched and package.fate is not Fate.TAKE, package.name
        return file(
            place.path, FileClass.OF_PACKAGE, Fate.KEEP if kept else Fate.TAKE, f"what dpkg knows of {name}"
        )
    owned = context.owners.get(place.path)
    if owned is None or place.upper is None:
        return None
    detail = f"of {owned.package.name}"
    deleted = place.upper.type == "c" and place.upper.rdev == (0, 0)
    if owned.package.fate is Fate.TAKE:
        if not deleted and not _is_packages_own(place, owned, context):
            return None
        if deleted and context.policy.replay and owned.machine and place.path.startswith(b"etc/"):
            return None  # of a package that it has, as dpkg leaves a conffile that somebody deleted
        return file(place.path, FileClass.OF_PACKAGE, Fate.TAKE, detail)
    if owned.package.fate is Fate.HIDE and not deleted:
        return None
    others = place.old is None and place.new is not None and not owned.new
    if not deleted and (others or not owned.machine):
        return None
    return file(place.path, FileClass.OF_PACKAGE, Fate.KEEP, detail)


def of_diverted(place: Place[N, L], context: Context[N]) -> Decision | None:
    """In a replay, of the system's: what somebody put in the place of a package's file stays, and that
    package's own beside it comes anew. In no other does anybody write to the latter."""
    if context.diverted is None or place.upper is None:
        return None
    if not context.policy.replay:
        return _left_behind(place, context.diverted.aside.get(place.path), context)
    if not is_systems(place.path):
        return None
    if place.path in context.diverted.places:
        return file(place.path, FileClass.KEPT, Fate.KEEP, "in the place of what was diverted")
    if place.path in context.diverted.copies and place.old is None and place.upper.type in "-l":
        return file(place.path, FileClass.OF_PACKAGE, Fate.TAKE, "diverted, and it comes anew")
    return None


def _left_behind(place: Place[N, L], copy: bytes | None, context: Context[N]) -> Decision | None:
    """None where the new master has what lies aside, or somebody spoke of this path."""
    owned = context.owners.get(place.path)
    stays = owned is not None and owned.package.fate is not Fate.TAKE
    moved_on = place.new is not None and _is_otherwise(place)
    if copy is None or stays or not moved_on or context.policy.is_named(place.path):
        return None
    why = (
        f"diverted: what lies aside, /{text_of(copy)}, stays the old master's, and the new one has another. "
        "`dpkg-divert --rename --remove` in the machine (or remove the package that diverts) takes it back"
    )
    return file(place.path, FileClass.MODIFY_MODIFY, Fate.ASK, why, Standing.BLOCKED)


def _is_packages_own(place: Place[N, L], owned: Owned, context: Context[N]) -> bool:
    """Whether the machine's version of the package brought it as it is, and nobody altered it since. Where
    dpkg knows no digest, nobody can tell: it is taken for the package's, but for what lies below /etc."""
    assert place.upper is not None
    if not owned.machine or place.upper.type not in "-l":
        return False
    if place.upper.type == "l" or owned.md5 is None:
        return not place.path.startswith(b"etc/")
    return context.reader.md5(place.upper) == owned.md5


def concerned(context: Context[N], old: Index[L], new: Index[L]) -> Iterator[bytes]:
    """In canonical order the paths of which `unseen` may have something to say, or pinned.py; and those that
    the machine once had."""
    touched = bool(context.owners) or any(each.touched for each in context.packages.values())
    sides = [(line.path for line in side.below(INFO)) for side in (old, new)] if touched else []
    held = [sorted(paths, key=sort_key) for paths in (context.owners, context.converged)]
    last = None
    for path in heapq.merge(*held, *sides, pinned.paths(context, old, new), key=sort_key):
        if path != last:
            yield path
        last = path


def unseen(place: Place[N, L], context: Context[N]) -> Iterator[Decision]:
    """Of what the machine has nothing of its own at: hidden where it would add to a package that the machine
    removed, or has in another version; brought where that version needs it."""
    path = place.path
    info = of_info(path)
    if info is not None:
        package = package_of(info, context)
        if package is not None and package.touched and package.fate is not Fate.TAKE:
            yield from _about_info(place, package)
        return
    owned = context.owners.get(path)
    if owned is None or owned.package.fate not in (Fate.KEEP, Fate.HIDE):
        return
    if owned.package.fate is Fate.KEEP and owned.machine:
        yield from _needed(place, owned)
    elif owned.package.fate is Fate.HIDE and place.old is not None:
        if owned.old and not path.startswith(b"etc/") and place.old.entry().type != "d":
            context.remains.see(path, owned.package.name)
    elif owned.new and place.old is None and place.new is not None and place.new.entry().type != "d":
        yield file(path, FileClass.GROWN, Fate.HIDE, f"of the new master's {owned.package.name}")


def _about_info(place: Place[N, L], package: Settled) -> Iterator[Decision]:
    """Of one on hold dpkg never wrote any in the machine: it sees the old master's. Of one that was removed,
    and not purged, its last script is still that."""
    if package.fate is Fate.ASK:
        return
    if place.new is not None and place.old is None:
        yield file(place.path, FileClass.GROWN, Fate.HIDE, f"what dpkg knows of {package.name}")
    elif _is_otherwise(place):
        yield file(place.path, FileClass.NEEDED, Fate.BRING, f"what dpkg knows of {package.name}")


def _needed(place: Place[N, L], owned: Owned) -> Iterator[Decision]:
    """The machine's version is the old master's here: a file that it never wrote itself."""
    if _is_otherwise(place):
        yield file(place.path, FileClass.NEEDED, Fate.BRING, f"of {owned.package.name}, which stays as it is")


def _is_otherwise(place: Place[N, L]) -> bool:
    """Whether the new master has another than the old one, or none."""
    if place.old is None:
        return False
    old, new = place.old.entry(), None if place.new is None else place.new.entry()
    same = new is not None and (new.type, new.digest, new.target) == (old.type, old.digest, old.target)
    return not same and old.type != "d"


def package_of(info: str, context: Context[N]) -> Settled | None:
    """By the name of its list: with or without the architecture."""
    return context.packages.get(info) or context.packages.get(info.partition(":")[0])
