"""dpkg's diversions and statoverrides, by the path that they are about."""

from collections.abc import Iterator

from skinnybox.delta.rebase.accounts import Numbers
from skinnybox.delta.rebase.keyed import GROUP, PASSWD, Form
from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.records import account_files, by_key
from skinnybox.delta.rebase.records.sides import Made, Sides, made_of
from skinnybox.errors import Corrupt
from skinnybox.masters.accounts import name_of, number
from skinnybox.masters.system.dpkg import FOLDER
from skinnybox.masters.system.source import bytes_of, text_of

_DIVERSIONS, _OVERRIDES = f"{FOLDER}/diversions", f"{FOLDER}/statoverride"
_LOCAL = ":"
Diverted = dict[str, tuple[str, str]]
"""By path: where it is instead, and whose it stays, or _LOCAL."""
Overrides = dict[str, tuple[str, str, str]]
"""By path: user, group, mode."""


def made(sides: Sides) -> Iterator[Made]:
    yield _diversions(sides)
    yield _overrides(sides)


def _diversions(sides: Sides) -> Made:
    three = sides.texts(_DIVERSIONS)
    old, new, machine = map(_diverted, three)

    def package(path: str) -> Settled | None:
        named = {side[path][1] for side in (old, new, machine) if path in side}
        return sides.package(named.pop()) if len(named) == 1 else None

    found = by_key.merged(old, new, machine, package)
    if found == new:
        return Made(path=_DIVERSIONS)
    text = "".join(f"{path}\n{to}\n{whose}\n" for path, (to, whose) in found.items())
    return made_of(_DIVERSIONS, three.new, bytes_of(text))


def _diverted(text: bytes | None) -> Diverted:
    lines = _lines(text)
    if len(lines) % 3 or not all(lines):
        raise Corrupt(f"/{_DIVERSIONS} is cut off, or has lines that say nothing")
    triples = zip(lines[::3], lines[1::3], lines[2::3], strict=True)
    return {path: (to, whose) for path, to, whose in triples}


def _overrides(sides: Sides) -> Made:
    three = sides.texts(_OVERRIDES)
    old, new, machine = map(_overridden, three)
    before, mine = (
        {path: _renumbered(value, sides) for path, value in side.items()} for side in (old, machine)
    )
    found = by_key.merged(before, new, mine, by_key.nobodys)
    users, groups = (_named(form, sides) for form in (PASSWD, GROUP))
    # dpkg does nothing at all with one that names nobody: the master's go where the machine has not whom.
    kept = {
        path: value
        for path, value in found.items()
        if path in mine or (_is_there(value[0], users) and _is_there(value[1], groups))
    }
    if kept == new:
        return Made(path=_OVERRIDES)
    text = "".join(f"{' '.join(value)} {path}\n" for path, value in kept.items())
    return made_of(_OVERRIDES, three.new, bytes_of(text))


def _overridden(text: bytes | None) -> Overrides:
    found: Overrides = {}
    for line in _lines(text):
        words = line.split(" ", 3)
        if len(words) != 4 or not words[3].startswith("/"):
            raise Corrupt(f"/{_OVERRIDES} has a line that is none: {line[:60]!r}")
        found[words[3]] = (words[0], words[1], words[2])
    return found


def _renumbered(value: tuple[str, str, str], sides: Sides) -> tuple[str, str, str]:
    user, group, mode = value
    return _other(user, sides.ownership.users), _other(group, sides.ownership.groups), mode


def _other(word: str, numbers: Numbers) -> str:
    """`#101` is a number, all else a name."""
    found = number(word[1:]) if word.startswith("#") else None
    return word if found is None else f"#{numbers.of(found)}"


def _named(form: Form, sides: Sides) -> frozenset[str]:
    """Who is there afterwards."""
    made = account_files.accounts(form.path, form, sides)
    text = made.content if made.content is not None else sides.texts(form.path).new
    return frozenset(filter(None, map(name_of, (text or b"").split(b"\n"))))


def _is_there(word: str, names: frozenset[str]) -> bool:
    return word.startswith("#") or word in names


def _lines(text: bytes | None) -> list[str]:
    found = text_of(text or b"").split("\n")
    return found[:-1] if not found[-1] else found
