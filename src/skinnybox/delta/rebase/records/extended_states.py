"""What apt knows of packages: which of them nobody asked for, so that they go with what needed them."""

from collections.abc import Iterator

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.records import by_key
from skinnybox.delta.rebase.records.paragraphs import field, paragraphs, text
from skinnybox.delta.rebase.records.sides import LARGE, Made, Sides, made_of
from skinnybox.delta.rebase.values import Fate
from skinnybox.errors import Corrupt
from skinnybox.masters.system.dpkg import MOST_PACKAGES
from skinnybox.masters.system.source import text_of

_PATH = "var/lib/apt/extended_states"
Key = tuple[bytes, bytes]


def made(sides: Sides) -> Iterator[Made]:
    three = sides.texts(_PATH, LARGE)
    old, new, machine = map(_marks, three)
    found: dict[Key, bytes] = {}
    for key in [*new, *(key for key in machine if key not in new)]:
        package = sides.package(text_of(key[0]), text_of(key[1]))
        paragraph = _chosen(package, old.get(key), new.get(key), machine.get(key))
        if paragraph is not None:
            found[key] = paragraph
    if found == new:
        yield Made(path=_PATH)
    else:
        yield made_of(_PATH, three.new, text(found.values()))


def _chosen(
    package: Settled | None, old: bytes | None, new: bytes | None, machine: bytes | None
) -> bytes | None:
    """Of a package that is the master's, but was there before: what the machine said of it, it goes on
    saying. One that both sides installed is one that somebody asked for as soon as either did."""
    if package is None or package.fate is not Fate.TAKE:
        return by_key.chosen(package, old, new, machine)
    if package.versions.machine is None or _asked_for(machine) == _asked_for(new):
        return new
    if package.versions.old is not None:
        return new if _asked_for(machine) == _asked_for(old) else machine
    return new if _asked_for(new) else machine


def _asked_for(paragraph: bytes | None) -> bool:
    return paragraph is None or field(paragraph, b"Auto-Installed") != b"1"


def _marks(side: bytes | None) -> dict[Key, bytes]:
    found: dict[Key, bytes] = {}
    for each in paragraphs(side, _PATH, MOST_PACKAGES):
        name = field(each, b"Package")
        if name is None:
            raise Corrupt(f"/{_PATH} has a paragraph that is of no package: {each[:60]!r}")
        found[name, field(each, b"Architecture") or b""] = each
    return found
