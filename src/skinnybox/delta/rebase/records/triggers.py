"""dpkg's triggers: which package wants to know of what; and what they have yet to be told.

What a merge puts below a path, no dpkg unpacked: whoever makes a cache of what lies there is told of it as if
one had, or the cache would be the new master's and lack what is the machine's.
"""

import re
from collections.abc import Iterable, Iterator

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.records import by_key
from skinnybox.delta.rebase.records.sides import MOST_NAMES, Made, Sides, made_of
from skinnybox.delta.rebase.values import Fate
from skinnybox.errors import Corrupt
from skinnybox.masters.system.dpkg import FOLDER
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import bytes_of, text_of

_FOLDER = f"{FOLDER}/triggers"
_FILE, _PENDING, _LOCK = "File", "Unincorp", "Lock"
_WORD = re.compile(r"[\x21-\x7e]+")
_MOST_BYTES = 4 << 20
Interest = tuple[str, str]
"""A trigger, and a package that wants to know of it."""
Interests = dict[Interest, str]
"""How, as dpkg writes it behind the package."""


def made(sides: Sides) -> Iterator[Made]:
    """Of all of the folder but what is there to lock it."""
    room = _Room()
    merged: Interests = {}
    for name in _names(sides):
        path = f"{_FOLDER}/{name}"
        three = sides.texts(path, _MOST_BYTES)
        room.take(three.machine, path)
        old, new, machine = (_interests(text, "" if name == _FILE else name, path) for text in three)
        found = by_key.merged(old, new, machine, lambda key: sides.package(key[1]))
        merged = found if name == _FILE else merged
        text = bytes_of("".join(map(_file_line if name == _FILE else _line, found.items())))
        yield Made(path=path) if found == new else made_of(path, three.new, text or _nothing(name))
    yield _pending(sides, merged)


def _names(sides: Sides) -> list[str]:
    found = {*sides.new.names(_FOLDER), *sides.machine.names(_FOLDER)} - {_PENDING, _LOCK}
    if len(found) > MOST_NAMES:
        raise Corrupt(f"/{_FOLDER} has more than {MOST_NAMES} triggers")
    return sorted(found)


class _Room:
    def __init__(self) -> None:
        self._left = _MOST_BYTES

    def take(self, text: bytes | None, path: str) -> None:
        self._left -= len(text or b"")
        if self._left < 0:
            raise Corrupt(f"/{path} and the other triggers have more than {_MOST_BYTES} bytes")


def _nothing(name: str) -> bytes | None:
    return b"" if name == _FILE else None


def _interests(text: bytes | None, trigger: str, path: str) -> Interests:
    """`trigger` where the file is of one; else each line begins with it."""
    found: Interests = {}
    for line in filter(None, text_of(text or b"").split("\n")):
        name, space, who = (trigger, " ", line) if trigger else line.partition(" ")
        package, slash, how = who.partition("/")
        if not (name and space and _WORD.fullmatch(package)):
            raise Corrupt(f"/{path} has a line that is none: {line[:60]!r}")
        found[name, package] = slash + how
    return found


def _file_line(item: tuple[Interest, str]) -> str:
    (trigger, package), how = item
    return f"{trigger} {package}{how}\n"


def _line(item: tuple[Interest, str]) -> str:
    (_, package), how = item
    return f"{package}{how}\n"


def _pending(sides: Sides, interests: Interests) -> Made:
    """With what they waited for before, on either side."""
    path = f"{_FOLDER}/{_PENDING}"
    three = sides.texts(path)
    found: dict[str, dict[str, None]] = {}
    for text in (three.new, three.machine):
        for line in filter(None, text_of(text or b"").split("\n")):
            words = line.split(" ")
            if len(words) < 2 or not all(map(_WORD.fullmatch, words)):
                raise Corrupt(f"/{path} has a line that is none: {line[:60]!r}")
            found.setdefault(words[0], {}).update(dict.fromkeys(words[1:]))
    for trigger in _to_tell(sides, interests):
        found.setdefault(trigger, {}).setdefault("-")
    after = bytes_of("".join(f"{trigger} {' '.join(who)}\n" for trigger, who in found.items()))
    if not after and three.new is None:
        return Made(path=path)
    return made_of(path, three.new, after, "triggers" if after else "")


def _to_tell(sides: Sides, interests: Iterable[Interest]) -> Iterator[str]:
    """Folders that packages watch, and where the machine has something of its own, or deleted something."""
    places = Places(sides.machine)
    for trigger, package in interests:
        watched = trigger.startswith("/") and _stays(sides.package(package))
        if watched and not sides.machine.untouched(places.of(trigger.strip("/"))):
            yield trigger


def _stays(found: Settled | None) -> bool:
    return found is not None and found.fate is not Fate.HIDE
