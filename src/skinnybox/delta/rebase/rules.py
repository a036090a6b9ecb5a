"""Who wins where both sides changed something: said for all, by glob, and by path."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from skinnybox.errors import UsageError

_MOST = 10_000
_MOST_STARS = 6
"""Each may be tried at each letter of a path, which a guest chose."""


class Choice(StrEnum):
    FAIL = "fail"
    OURS = "ours"
    """The machine's."""
    THEIRS = "theirs"
    """The new master's."""
    MERGE = "merge"
    """Text of both where their changes do not touch; else it fails."""
    TAKE = "take"
    """The new master's, also where it is no conflict: the machine's own goes."""
    PIN = "pin"
    """The machine's, also where the new master's would be taken."""


ON_CONFLICT = (Choice.FAIL, Choice.OURS, Choice.THEIRS, Choice.MERGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`glob` is of whole paths with a leading slash: `*` and `?` stand for no slash, `**` for any."""

    glob: str
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`take` and `pin` are paths, each with all below it; they win over `ours` and `theirs`, which are of
    single paths (a guest may have called a file `*`), those over rules, the first rule that fits over
    `on_conflict`. `replay`: packages are all the new master's, and the machine's own are installed again
    (see replay.py). `databases` are folders of the machine's that stay whole (see databases.py): they are
    pinned, but where somebody says that the new master's is taken."""

    on_conflict: Choice = Choice.MERGE
    replay: bool = False
    rules: tuple[Rule, ...] = ()
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    _single: dict[str, Choice] = field(init=False, repr=False, compare=False, default_factory=dict)
    _texts: tuple[tuple[re.Pattern[str], Choice], ...] = field(
        init=False, repr=False, compare=False, default=()
    )

    def __post_init__(self) -> None:
        """UsageError for what could mean two things."""
        if self.on_conflict not in ON_CONFLICT:
            raise UsageError(f"{self.on_conflict} is said of paths, not of all conflicts")
        for path in (*self.take, *self.pin, *self.ours, *self.theirs):
            check_path(path)
        _refuse_both(self.take, self.pin, "to be taken and pinned")
        _refuse_both(self.ours, self.theirs, "the machine's and the new master's")
        compiled = tuple((_pattern(rule.glob), rule.choice) for rule in self.rules)
        object.__setattr__(self, "_texts", compiled)
        for paths, choice in ((self.ours, Choice.OURS), (self.theirs, Choice.THEIRS)):
            self._single.update(("/" + path.strip("/"), choice) for path in paths)

    def choice(self, path: bytes) -> Choice:
        """Of a path without its leading slash."""
        if not (self.take or self.pin or self._single or self._texts or self.databases):
            return self.on_conflict
        text = "/" + path.decode("utf-8", "surrogateescape")
        said = self._said(text)
        return Choice.PIN if said is not Choice.TAKE and self.is_of_database(path) else said

    def is_of_database(self, path: bytes) -> bool:
        if not self.databases:
            return False
        text = path.decode("utf-8", "surrogateescape")
        return any(text == folder or text.startswith(folder + "/") for folder in self.databases)

    def pinned_folders(self) -> Iterator[str]:
        """All that is pinned is one of these, or below one; some of what is below them may not be."""
        yield from (path.strip("/") for path in self.pin)
        yield from self.databases
        for rule in self.rules:
            if rule.choice is Choice.PIN:
                yield _folder_around(rule.glob)

    def _said(self, text: str) -> Choice:
        named = [(len(p), choice) for p, choice in self._named() if text == p or text.startswith(p + "/")]
        if named:
            return max(named)[1]
        if text in self._single:
            return self._single[text]
        return next((choice for pattern, choice in self._texts if pattern.fullmatch(text)), self.on_conflict)

    def is_named(self, path: bytes) -> bool:
        """Whether somebody spoke of this very path, and not of all."""
        text = "/" + path.decode("utf-8", "surrogateescape")
        named = text in self._single or any(text == p or text.startswith(p + "/") for p, _ in self._named())
        if named or self.is_of_database(path):
            return True
        return any(pattern.fullmatch(text) for pattern, _ in self._texts)

    def _named(self) -> Iterable[tuple[str, Choice]]:
        for path in self.take:
            yield "/" + path.strip("/"), Choice.TAKE
        for path in self.pin:
            yield "/" + path.strip("/"), Choice.PIN


def check_path(path: str) -> None:
    """UsageError for what is no path of a machine, or not how a plan would write it: it would fit nothing,
    and nobody would hear of that."""
    parts = path.strip("/").split("/")
    if not path.startswith("/") or "\0" in path or {"", ".", ".."} & {*parts}:
        raise UsageError(f"{path!r} is no path in a machine", hint="one such as /etc/motd")


def _refuse_both(some: Iterable[str], others: Iterable[str], what: str) -> None:
    both = {path.strip("/") for path in some} & {path.strip("/") for path in others}
    if both:
        raise UsageError(f"/{min(both)} is both {what}", hint="say one of both")


def read_rules(text: str, name: str) -> tuple[Rule, ...]:
    """Lines `CHOICE GLOB`; blank ones, and those that begin with `#`, say nothing. UsageError names the
    line."""
    found = []
    lines = text.splitlines()
    if len(lines) > _MOST:
        raise UsageError(f"{name} has more than {_MOST} lines")
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, *rest = line.split(None, 1)
        glob = rest[0].strip() if rest else ""
        if " #" in glob or (glob.endswith("/") and glob != "/"):
            raise UsageError(
                f"{name}, line {number}: no path is {glob[:80]!r}",
                hint="a remark has its own line, and of a folder `/etc/ssh/**` is all below it",
            )
        if word not in set(Choice) or not glob.startswith("/"):
            raise UsageError(
                f"{name}, line {number}: {line.strip()[:80]!r} is no rule",
                hint=f"`CHOICE GLOB`, such as `ours /etc/ssh/**`; a choice is {', '.join(Choice)}",
            )
        found.append(Rule(glob=glob, choice=Choice(word)))
    return tuple(found)


def _folder_around(glob: str) -> str:
    """The folder that all that fits lies in; what a glob without a star fits."""
    literal, star, _ = re.split(r"([*?]|\Z)", glob, maxsplit=1)
    return (literal.rpartition("/")[0] if star else literal).strip("/")


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*+|\*|\?)", glob)
    if sum(part.startswith("*") for part in parts) > _MOST_STARS:
        raise UsageError(f"{glob!r:.80} has more than {_MOST_STARS} stars")
    said = {"*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(".*" if p.startswith("**") else said.get(p, re.escape(p)) for p in parts), re.DOTALL
    )
