"""debconf's questions, and what was answered: an answer that somebody changed stays. A question is there for
its owners, and goes with the last of them."""

from collections.abc import Iterator

from skinnybox.delta.rebase.records import by_key
from skinnybox.delta.rebase.records.paragraphs import field, paragraphs, text, with_field
from skinnybox.delta.rebase.records.sides import LARGE, Made, Sides, made_of
from skinnybox.delta.rebase.values import Fate
from skinnybox.errors import Corrupt
from skinnybox.masters.system.source import bytes_of, text_of

_FOLDER = "var/cache/debconf"
_ANSWERS, _TEXTS = ("config.dat", "passwords.dat"), ("templates.dat",)
_MOST = 100_000
Questions = dict[bytes, bytes]


def made(sides: Sides) -> Iterator[Made]:
    for name in (*_ANSWERS, *_TEXTS):
        yield _merged(f"{_FOLDER}/{name}", sides)


def _merged(path: str, sides: Sides) -> Made:
    three = sides.texts(path, LARGE)
    old, new, machine = (_questions(side, path) for side in three)
    found: Questions = {}
    for name in [*new, *(name for name in machine if name not in new)]:
        asked = _Question(old.get(name), new.get(name), machine.get(name))
        owners = asked.owners(sides)
        chosen = asked.answer() if path.endswith(_ANSWERS) else asked.text(sides)
        if chosen is not None and (owners or not asked.is_owned):
            found[name] = _with_owners(chosen, owners) if asked.is_owned else chosen
    if found == new:
        return Made(path=path)
    content = text(found.values())
    return made_of(path, three.new, content if content or three.new is not None else None)


class _Question:
    """One, on the three sides."""

    def __init__(self, old: bytes | None, new: bytes | None, machine: bytes | None) -> None:
        self._sides = (old, new, machine)
        self._owners = tuple(map(_owners, self._sides))

    @property
    def is_owned(self) -> bool:
        return any(self._owners)

    def owners(self, sides: Sides) -> list[str]:
        """Packages as their side has them."""
        old, new, machine = (dict.fromkeys(side, True) for side in self._owners)
        return [*by_key.merged(old, new, machine, sides.of_settings)]

    def answer(self) -> bytes | None:
        old, new, machine = self._sides
        if new is None or machine is None:
            return new or machine
        before, mine = (b"" if side is None else with_field(side, b"Owners", b"") for side in (old, machine))
        return new if mine == before else machine

    def text(self, sides: Sides) -> bytes | None:
        """The newer master's, where any of its packages is the master's."""
        _, new, machine = self._sides
        taken = any((p := sides.package(name)) and p.fate is Fate.TAKE for name in self._owners[1])
        return new if new is not None and (taken or machine is None) else machine


def _owners(question: bytes | None) -> list[str]:
    told = None if question is None else field(question, b"Owners")
    return [name for word in text_of(told or b"").split(",") if (name := word.strip())]


def _with_owners(question: bytes, owners: list[str]) -> bytes:
    same = _owners(question) == owners
    return question if same else with_field(question, b"Owners", bytes_of(", ".join(owners)))


def _questions(side: bytes | None, path: str) -> Questions:
    found: Questions = {}
    for each in paragraphs(side, path, _MOST):
        name = field(each, b"Name")
        if name is None:
            raise Corrupt(f"/{path} has a paragraph that is no question: {each[:60]!r}")
        found[name] = each
    return found
