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

PATH = "var/lib/apt/extended_states"
Key = tuple[bytes, bytes]


def made(sides: Sides) -> Iterator[Made]:
    three = sides.texts(PATH, LARGE)
    old, new, machine = map(marks, three)
    found: dict[Key, bytes] = {}
    for key in [*new, *(key for key in machine if key not in new)]:
        package = sides.package(text_of(key[0]), text_of(key[1]))
        paragraph = _chosen(package, old.get(key), new.get(key), machine.get(key))
        if paragraph is not None:
            found[key] = paragraph
    if found == new:
        yield Made(path=PATH)
    else:
        yield made_of(PATH, three.new, text(found.values()))


def _chosen(
    package: Settled | None, old: bytes | None, new: bytes | None, machine: bytes | None
) -> bytes | None:
    """Of a package that is the master's, but was there before: what the machine said of it, it goes on
    saying. One that both sides installed is one that somebody asked for as soon as either did."""
    if package is None or package.fate is not Fate.TAKE:
        return by_key.chosen(package, old, new, machine)
    if package.versions.machine is None or asked_for(machine) == asked_for(new):
        return new
    if package.versions.old is not None:
        return new if asked_for(machine) == asked_for(old) else machine
    return new if asked_for(new) else machine


def asked_for(paragraph: bytes | None) -> bool:
    """Of a package by its mark, or by that it has none."""
    return paragraph is None or field(paragraph, b"Auto-Installed") != b"1"


def marks(side: bytes | None) -> dict[Key, bytes]:
    """By name and architecture. Raises Corrupt."""
    found: dict[Key, bytes] = {}
    for each in paragraphs(side, PATH, MOST_PACKAGES):
        name = field(each, b"Package")
        if name is None:
            raise Corrupt(f"/{PATH} has a paragraph that is of no package: {each[:60]!r}")
        found[name, field(each, b"Architecture") or b""] = each
    return found
