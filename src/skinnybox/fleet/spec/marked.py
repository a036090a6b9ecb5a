"""YAML read within bounds, with the place of every key and value kept beside it.

Texts stay texts: dates, sexagesimal numbers and tags of YAML 1.1 are not interpreted. Aliases are allowed and
counted as what they stand for, so that a few lines cannot mean a million values.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from skinnybox.errors import UsageError
from skinnybox.printable import quoted, short

MOST_BYTES = 1 << 20
MOST_VALUES = 100_000
DEEPEST = 16

Trail: TypeAlias = tuple[str | int, ...]
"""Where a value is: keys and numbers from the top."""

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = frozenset(f"{_PREFIX}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp"))
_FLAT = frozenset({*_SCALARS, f"{_PREFIX}value", f"{_PREFIX}merge"})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Both count from 1, as editors do."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mistake:
    place: Place
    what: str


@dataclass(slots=True, kw_only=True)
class Marked:
    """Plain values, where each of them and each key stands, and what could not be read."""

    data: Any = None
    values: dict[Trail, Place] = field(default_factory=dict)
    keys: dict[Trail, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, trail: Trail, *, key: bool = False) -> Place:
        """Of the value there, or of its key; of what it would stand in, when it is not there."""
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        while trail and trail not in first and trail not in second:
            trail = trail[:-1]
        return first.get(trail) or second.get(trail) or Place(line=1, column=1)


def read(content: bytes) -> Marked:
    """Never raises for what is in it: mistakes are collected, and what can be read around them is."""
    marked = Marked()
    if len(content) > MOST_BYTES:
        marked.mistakes.append(Mistake(place=Place(line=1, column=1), what="larger than 1 MiB"))
        return marked
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        marked.mistakes.append(Mistake(place=_counted(content[: error.start]), what="not UTF-8"))
        return marked
    try:
        node = _Bounded(text).get_single_node()
        data = _Walk(marked).value(node, ()) if node is not None else None
        marked.data = None if data is _UNREAD else data
    except _TooMuch as error:
        marked.values.clear()
        marked.mistakes.append(Mistake(place=_of(error.mark), what=error.what))
    except yaml.YAMLError as error:
        marked.mistakes.append(_syntax(error, text))
    return marked


def of_values(data: Any) -> Marked:
    """Of what is read already, as JSON is. Line N is where the Nth value stands, in the order in which they
    were found, so that a mistake's place leads back to what it is of. UsageError when it is too much."""
    marked = Marked(data=data)
    todo: list[tuple[Trail, Any]] = [((), data)]
    while todo:
        trail, value = todo.pop()
        place = Place(line=len(marked.values) + 1, column=1)
        marked.values[trail] = marked.keys[trail] = place
        if len(marked.values) > MOST_VALUES or len(trail) > DEEPEST:
            raise UsageError(_deep() if len(trail) > DEEPEST else _many())
        if isinstance(value, dict):
            todo += [((*trail, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            todo += [((*trail, number), inner) for number, inner in enumerate(value)]
    return marked


_UNREAD = object()
"""Stands where a mistake has been told already."""


class _TooMuch(Exception):
    def __init__(self, mark: yaml.Mark, what: str) -> None:
        super().__init__(what)
        self.mark, self.what = mark, what


class _Bounded(yaml.SafeLoader):
    """Composes nodes, but only so many and so deep."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._depth += 1
        self._count += 1
        if self._depth > DEEPEST or self._count > MOST_VALUES:
            raise _TooMuch(mark, _deep() if self._depth > DEEPEST else _many())
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _deep() -> str:
    return f"nested more than {DEEPEST} deep"


def _many() -> str:
    return f"more than {MOST_VALUES} values"


class _Walk:
    """From nodes to plain values; counts what aliases stand for."""

    def __init__(self, marked: Marked) -> None:
        self._marked = marked
        self._count = 0

    def value(self, node: yaml.Node, trail: Trail) -> Any:
        self._count += 1
        if self._count > MOST_VALUES or len(trail) > DEEPEST:
            raise _TooMuch(node.start_mark, _deep() if len(trail) > DEEPEST else _many())
        self._marked.values[trail] = _of(node.start_mark)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_PREFIX}map":
            return dict(self._items(node, trail))
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_PREFIX}seq":
            found = (self.value(item, (*trail, number)) for number, item in enumerate(node.value))
            return [None if value is _UNREAD else value for value in found]
        if isinstance(node, yaml.ScalarNode) and node.tag in _FLAT:
            return _scalar(node)
        self._wrong(node, f"the tag {short(node.tag.replace(_PREFIX, '!!'))} is not read here")
        return _UNREAD

    def _items(self, node: yaml.MappingNode, trail: Trail) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._wrong(key, "a key is a text")
            elif key.tag == f"{_PREFIX}merge":
                self._wrong(key, "<< is not read here: `defaults` holds what groups have in common")
            elif key.value in seen:
                first = self._marked.keys[(*trail, key.value)].line
                self._wrong(key, f"{quoted(key.value)} is given twice, first in line {first}")
            else:
                seen.add(key.value)
                self._marked.keys[(*trail, key.value)] = _of(key.start_mark)
                inner = self.value(value, (*trail, key.value))
                if inner is not _UNREAD:
                    yield key.value, inner

    def _wrong(self, node: yaml.Node, what: str) -> None:
        self._marked.mistakes.append(Mistake(place=_of(node.start_mark), what=what))


def _scalar(node: yaml.ScalarNode) -> Any:
    """Null, truth and decimal numbers; all else, such as 1_000, 0x1F or 2026-11-22, is the text it was."""
    text = str(node.value)
    match node.tag.removeprefix(_PREFIX):
        case "null":
            return None
        case "bool":
            return text.lower() in ("yes", "true", "on")
        case "int" if text.lstrip("-").isdecimal() and text.isascii() and len(text) < 20:
            return int(text)
    return text


def _syntax(error: yaml.YAMLError, text: str) -> Mistake:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = _of(mark) if mark else Place(line=1, column=1)
        return Mistake(place=place, what=f"not YAML: {error.problem or error.context}")
    position = int(getattr(error, "position", 0))
    reason = getattr(error, "reason", error)
    return Mistake(place=_counted(text[:position].encode()), what=f"not YAML: {reason}")


def _of(mark: Any) -> Place:
    return Place(line=mark.line + 1, column=mark.column + 1)


def _counted(before: bytes) -> Place:
    """The place after these bytes."""
    last = before.rpartition(b"\n")[2]
    return Place(line=before.count(b"\n") + 1, column=len(last.decode("utf-8", "replace")) + 1)
