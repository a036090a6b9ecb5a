"""How the confined processes that look at machines tell of it, and how that is checked: nothing of it is
believed."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from skinnybox.delta.plain_boot import RULES
from skinnybox.delta.settled import NO_ANSWER
from skinnybox.errors import Corrupt
from skinnybox.masters.system.compare import Difference
from skinnybox.model import Change, ChangeKind, Fact, Group

_TYPES = frozenset("-dlcbps")
_KINDS = {str(kind): kind for kind in ChangeKind}
_GROUPS = {str(group): group for group in Group}
_DETAIL_LIMIT = 1000
_PATH_LIMIT = 4096
_LARGEST = 1 << 63
_WORD_LIMIT, _MOST_FACTS = 5000, 300_000
_WHATS = {"package", "user", "group", "unit", "alternative", "diversion", "release", "system"}
_CHANGES = {"added", "removed", "upgraded", "downgraded", "moved", "changed", "unread"}
_WHYS = {"", *(rule.why for rule in RULES)}
_PACKAGE = re.compile(r"[A-Za-z0-9+._~:-]{0,300}")


def facts_told(found: Iterable[Difference]) -> Iterator[list[Any] | None]:
    """In the child: each, and what ends them."""
    for fact in found:
        values = fact.what, fact.change, fact.name, fact.before, fact.after
        yield [value if value is None else value[:_WORD_LIMIT] for value in values]
    yield None


def change_told(change: Change, is_seeds: bool | None) -> list[Any]:
    """In the child."""
    path, detail = os.fsdecode(change.path), change.detail[:_DETAIL_LIMIT]
    about = [change.group.value, change.package, change.folded, change.noise]
    return [change.kind.value, change.type, change.size, path, detail, is_seeds, *about]


def facts_checked(answers: Iterator[Any]) -> Iterator[Fact]:
    """As far as what ends them. Raises Corrupt."""
    count = 0
    none: Any = False  # no fact, either
    while (value := next(answers, none)) is not None:
        count += 1
        try:
            what, change, name, before, after = value
            known = what in _WHATS and change in _CHANGES
            if not known or not all(map(_is_word, (name, before or "", after or ""))) or count > _MOST_FACTS:
                raise ValueError("not a fact")
        except (ValueError, TypeError) as error:
            raise Corrupt(NO_ANSWER) from error
        yield Fact(what=what, change=change, name=name, before=before, after=after)


def change_checked(value: Any) -> tuple[Change, bool | None]:
    """With whether it is the seed's. Raises Corrupt."""
    try:
        kind, letter, size, path, detail, is_seeds, group, package, folded, noise = value
        raw = path.encode("utf-8", "surrogateescape")
        if not (
            letter in _TYPES
            and type(size) is int
            and 0 <= size < _LARGEST
            and len(raw) < _PATH_LIMIT
            and b"\0" not in raw
            and type(detail) is str
            and len(detail) <= _DETAIL_LIMIT
            and (is_seeds is None or type(is_seeds) is bool)
            and type(folded) is bool
            and (package == "" or _PACKAGE.fullmatch(package))
            and noise in _WHYS
        ):
            raise ValueError(f"not a change: {value!r:.80}")
        change = Change(
            path=raw, kind=_KINDS[kind], type=letter, size=size, detail=detail, group=_GROUPS[group],
            package=package, folded=folded, noise=noise,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(NO_ANSWER) from error
    return change, is_seeds


def _is_word(value: Any) -> bool:
    return type(value) is str and len(value) <= _WORD_LIMIT
