"""The filter language of get_all_records_where: `field "power_state" = "Running" and not field ...`."""

import re
from collections.abc import Callable
from typing import Any

from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import Kind
from tests.emulators.xapi.model import Class

Test = Callable[[dict[str, Any]], bool]
Side = Callable[[dict[str, Any]], str]
_WORDS = re.compile(r"""\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(true|false|and|or|not|field|=|\(|\)))""")


def parse(of: Class, text: str) -> Test:
    """Failure INVALID_VALUE for what is no expression or names no field."""
    reader = _Reader(of, text)
    test = reader.either()
    if reader.words:
        raise reader.wrong()
    return test


def text_of(kind: Kind, value: Any) -> str:
    """A field as the database prints it, which is what filters compare."""
    if kind.shape == "bool":
        return "true" if value else "false"
    if kind.shape == "set":
        inner = " ".join(f"'{text_of(kind.inner[0], each)}'" for each in value)
        return f"({inner})"
    if kind.shape == "map":
        pairs = (f"('{key}' '{text_of(kind.inner[1], each)}')" for key, each in value.items())
        return f"({' '.join(pairs)})"
    return str(value)


class _Reader:
    """Takes the words of an expression one by one."""

    def __init__(self, of: Class, text: str) -> None:
        self.of, self.text = of, text
        self.words = self._split(text)

    def wrong(self) -> Failure:
        return Failure("INVALID_VALUE", "expr", self.text)

    def _split(self, text: str) -> list[str]:
        words, at = [], 0
        while at < len(text.rstrip()):
            found = _WORDS.match(text, at)
            if not found:
                raise self.wrong()
            words.append(found.group().strip())
            at = found.end()
        return words

    def _take(self, *allowed: str) -> str:
        if not self.words or (allowed and self.words[0] not in allowed):
            raise self.wrong()
        return self.words.pop(0)

    def either(self) -> Test:
        left = self.both()
        while self.words[:1] == ["or"]:
            self._take()
            left = _or(left, self.both())
        return left

    def both(self) -> Test:
        left = self.single()
        while self.words[:1] == ["and"]:
            self._take()
            left = _and(left, self.single())
        return left

    def single(self) -> Test:
        word = self.words[0] if self.words else ""
        if word == "not":
            self._take()
            return _not(self.single())
        if word == "(":
            self._take()
            inner = self.either()
            self._take(")")
            return inner
        if word in {"true", "false"}:
            self._take()
            return lambda _: word == "true"
        left = self._side()
        self._take("=")
        return _equal(left, self._side())

    def _side(self) -> Side:
        if self.words[:1] == ["field"]:
            self._take()
            name = self._quoted().replace("__", "_")
            field = self.of.fields.get(name)
            if field is None:
                raise self.wrong()
            return lambda record: text_of(field.kind, record[name])
        constant = self._quoted()
        return lambda _: constant

    def _quoted(self) -> str:
        word = self._take()
        if word[0] not in "\"'":
            raise self.wrong()
        return re.sub(r"\\(.)", r"\1", word[1:-1])


def _or(left: Test, right: Test) -> Test:
    return lambda record: left(record) or right(record)


def _and(left: Test, right: Test) -> Test:
    return lambda record: left(record) and right(record)


def _not(test: Test) -> Test:
    return lambda record: not test(record)


def _equal(left: Side, right: Side) -> Test:
    return lambda record: left(record) == right(record)
