"""One group of alternatives, as update-alternatives writes it: a link that has slaves, and choices for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from skinnybox.errors import Corrupt
from skinnybox.masters.system.source import bytes_of, text_of

AUTO, MANUAL = "auto", "manual"
_LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Choice:
    """`slaves` are files by the slave's name; a slave need not have one."""

    priority: int
    slaves: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`link` and `slaves` are where the generic names lie, `choices` are by their file."""

    mode: str
    link: str
    slaves: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)

    def best(self) -> str | None:
        """The first of those that nothing is above, as update-alternatives has them in order."""
        ordered = sorted(self.choices, key=bytes_of)
        return max(ordered, key=lambda path: self.choices[path].priority, default=None)


def parsed(text: bytes | None, path: str) -> Group | None:
    """Raises Corrupt for what update-alternatives would not read."""
    if text is None:
        return None
    lines = _Lines(text, path)
    mode, link = lines.next(), lines.path()
    if mode not in (AUTO, MANUAL):
        raise lines.refused(mode)
    slaves: dict[str, str] = {}
    while name := lines.next():
        slaves[lines.checked_name(name)] = lines.path()
    choices: dict[str, Choice] = {}
    while file := lines.next():
        priority = lines.number()
        files = {name: lines.next() for name in slaves}
        choices[lines.checked_path(file)] = Choice(priority, {name: to for name, to in files.items() if to})
    return Group(mode=mode, link=link, slaves=slaves, choices=choices)


class _Lines:
    def __init__(self, text: bytes, path: str) -> None:
        self._left = iter(text_of(text).split("\n"))
        self._path = path

    def refused(self, line: str) -> Corrupt:
        return Corrupt(f"/{self._path} is no group of alternatives: {line[:60]!r}")

    def next(self) -> str:
        """Raises Corrupt at the end, and for more than a path can have."""
        line = next(self._left, None)
        if line is None or len(line) > _LONGEST or "\0" in line:
            raise self.refused(line or "it is cut off")
        return line

    def path(self) -> str:
        return self.checked_path(self.next())

    def checked_path(self, line: str) -> str:
        if not line.startswith("/") or any(part in (".", "..") for part in line.split("/")):
            raise self.refused(line)
        return line

    def checked_name(self, line: str) -> str:
        if not is_name(line):
            raise self.refused(line)
        return line

    def number(self) -> int:
        line = self.next()
        digits = line.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
            raise self.refused(line)
        return int(line)


def is_name(name: str) -> bool:
    """What can be a name in /etc/alternatives."""
    return 0 < len(bytes_of(name)) <= 255 and name not in (".", "..") and not set(name) & set("/ \t\0\n")


def told(group: Group) -> bytes:
    """As update-alternatives writes it: in order, and without slaves that no choice has."""
    used = {name for choice in group.choices.values() for name in choice.slaves}
    slaves = sorted((name for name in group.slaves if name in used), key=bytes_of)
    lines = [group.mode, group.link]
    for name in slaves:
        lines += [name, group.slaves[name]]
    lines.append("")
    for path in sorted(group.choices, key=bytes_of):
        choice = group.choices[path]
        lines += [path, str(choice.priority), *(choice.slaves.get(name, "") for name in slaves)]
    return bytes_of("".join(f"{line}\n" for line in [*lines, ""]))


def slaves_of(groups: Iterable[Group | None]) -> dict[str, str]:
    """Of several versions of a group; the first that knows one counts."""
    found: dict[str, str] = {}
    for group in groups:
        for name, link in (group.slaves if group is not None else {}).items():
            found.setdefault(name, link)
    return found
