"""Small records that are one word, one set of words, or nothing but a file to lock; and what was before."""

from collections.abc import Iterator

from skinnybox.delta.rebase.records import by_key
from skinnybox.delta.rebase.records.sides import Made, Sides, made_of
from skinnybox.delta.rebase.special import special
from skinnybox.delta.rebase.values import Fate, FileClass
from skinnybox.masters.system.dpkg import FOLDER
from skinnybox.masters.system.source import bytes_of

_WITHOUT_MEANING = (
    "lock", "lock-frontend", "triggers/Lock",
    # What stood before the last change. None of it is so any more, and dpkg does without.
    "status-old", "diversions-old", "statoverride-old", "available", "available-old",
)  # fmt: skip
_FOLDERS = (
    *(f"{FOLDER}{name}" for name in ("", "/updates", "/triggers", "/alternatives")),
    "etc/alternatives", "var/cache/debconf", "var/lib/ucf", "var/lib/ucf/cache",
)  # fmt: skip


def made(sides: Sides) -> Iterator[Made]:
    for name in _WITHOUT_MEANING:
        yield Made(path=f"{FOLDER}/{name}")
    yield _architectures(sides)
    path = f"{FOLDER}/cmethopt"
    old, new, machine = sides.texts(path)
    yield made_of(path, new, by_key.chosen(None, old, new, machine))


def leftovers(sides: Sides) -> Iterator[Made]:
    """All else that is a record by its path: what was before, what was being written, what was deleted. What
    was not brought into dpkg's database is blocked in the plan."""
    for folder in _FOLDERS:
        for name in {*sides.machine.names(folder), *sides.old.names(folder)}:
            path = f"{folder}/{name}"
            what = None if sides.machine.untouched(path) else special(bytes_of(path))
            if what is not None and what.kind is FileClass.RECORD:
                yield Made(path=path)


def _architectures(sides: Sides) -> Made:
    """Those that packages may be of. Of one that goes, no package is left."""
    path = f"{FOLDER}/arch"
    three = sides.texts(path)
    old, new, machine = (dict.fromkeys((text or b"").split(), True) for text in three)
    found = [*by_key.merged(old, new, machine, by_key.nobodys)]
    used = {architecture.encode() for architecture in _used(sides)}
    found += [word for word in {**new, **machine} if word in used and word not in found]
    if found == [*new]:
        return Made(path=path)
    return made_of(path, three.new, b"".join(word + b"\n" for word in found) or None)


def _used(sides: Sides) -> Iterator[str]:
    for each in sides.packages.values():
        after = each.versions.new if each.fate is Fate.TAKE else each.versions.machine
        if after is not None and each.fate is not Fate.HIDE:
            yield after.architecture
