"""ucf's records: which package a configuration file is of, and what of its maintainer's was seen last."""

from collections.abc import Iterator

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.records import by_key
from skinnybox.delta.rebase.records.sides import MOST_NAMES, Made, Sides, made_of, text
from skinnybox.errors import Corrupt
from skinnybox.masters.system.source import bytes_of, text_of

_FOLDER = "var/lib/ucf"
_HASHES, _REGISTRY, _CACHE = (f"{_FOLDER}/{name}" for name in ("hashfile", "registry", "cache"))
_LARGEST = 4 << 20
Entries = dict[str, str]
"""Lines by the path that they are about."""


def made(sides: Sides) -> Iterator[Made]:
    registry = _entries_of(_REGISTRY, sides)

    def package(path: str) -> Settled | None:
        """The machine's word, and then the new master's."""
        line = registry[2].get(path) or registry[1].get(path)
        return None if line is None else sides.of_settings(line.split()[0])

    for file in (_HASHES, _REGISTRY):
        old, new, machine = _entries_of(file, sides)
        found = by_key.merged(old, new, machine, package)
        after = bytes_of("".join(f"{line}\n" for line in found.values()))
        there = text(sides.new, file, _LARGEST)
        yield Made(path=file) if found == new else made_of(file, there, after)
    for name in _cached(sides):
        path = f"{_CACHE}/{name}"
        three = sides.texts(path)
        chosen = by_key.chosen(package(name.replace(":", "/")), *three)
        yield made_of(path, three.new, chosen)


def _cached(sides: Sides) -> list[str]:
    """The maintainers' files as they were last: of /etc/a/b it is called :etc:a:b."""
    found = {name for side in (sides.old, sides.new, sides.machine) for name in side.names(_CACHE)}
    if len(found) > MOST_NAMES:
        raise Corrupt(f"/{_CACHE} has more than {MOST_NAMES} files")
    return sorted(found)


def _entries_of(file: str, sides: Sides) -> tuple[Entries, Entries, Entries]:
    old, new, machine = (_entries(file, side) for side in sides.texts(file, _LARGEST))
    return old, new, machine


def _entries(file: str, side: bytes | None) -> Entries:
    found: Entries = {}
    for line in filter(None, text_of(side or b"").split("\n")):
        words = line.split(None, 1)
        if len(words) != 2 or not words[1].startswith("/"):
            raise Corrupt(f"/{file} has a line that is none: {line[:60]!r}")
        found[words[1]] = line
    return found
