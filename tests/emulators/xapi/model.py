"""The published data model of XenAPI: its classes, fields, messages, roles and errors, as data."""

import dataclasses
import functools
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulators.xapi import kinds
from tests.emulators.xapi.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """`given` at creation, `writable` afterwards; without `default` (None) creation requires it."""

    name: str
    kind: Kind
    given: bool
    writable: bool
    default: str | None
    removed: bool

    def initial(self) -> Any:
        return kinds.null(self.kind) if self.default is None else kinds.literal(self.kind, self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    kind: Kind
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One call. `implicit`: it follows from a field or the class, and generic.py can answer it."""

    of: str
    name: str
    result: Kind
    params: tuple[Parameter, ...]
    roles: frozenset[str]
    implicit: bool
    state: str

    @property
    def full_name(self) -> str:
        return f"{self.of}.{self.name}"

    @property
    def in_session(self) -> bool:
        return bool(self.params) and self.params[0].name == "session_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    name: str
    fields: Mapping[str, Field]
    messages: Mapping[str, Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    source: str
    classes: Mapping[str, Class]
    enums: Mapping[str, frozenset[str]]
    errors: Mapping[str, tuple[str, ...] | None]

    def message(self, name: str) -> Message | None:
        """`VM.start`; None for a call that does not exist."""
        of, _, short = name.partition(".")
        found = self.classes.get(of)
        return found.messages.get(short) if found else None

    def method_names(self) -> list[str]:
        return [each.full_name for one in self.classes.values() for each in one.messages.values()]


def _field(name: str, entry: list[Any]) -> Field:
    type_, qualifier, default, state = entry
    return Field(
        name=name,
        kind=kinds.parse(type_),
        given=qualifier in {"RW", "RO/constructor"},
        writable=qualifier == "RW",
        default=default,
        removed=state == "removed",
    )


def _message(of: str, name: str, entry: list[Any]) -> Message:
    result, params, roles, implicit, state = entry
    return Message(
        of=of,
        name=name,
        result=kinds.parse(result),
        params=tuple(
            Parameter(name=each, kind=kinds.parse(type_), required=required)
            for each, type_, required in params
        ),
        roles=frozenset(roles),
        implicit=implicit,
        state=state,
    )


def _class(name: str, entry: dict[str, Any]) -> Class:
    return Class(
        name=name,
        fields={each: _field(each, value) for each, value in entry["fields"].items()},
        messages=_with_where(
            {each: _message(name, each, value) for each, value in entry["messages"].items()}
        ),
    )


def _with_where(messages: dict[str, Message]) -> dict[str, Message]:
    """Two calls that xapi has for every class and the published model leaves out."""
    found = messages.get("get_all_records")
    if found is None:
        return messages
    expression = Parameter(name="expr", kind=kinds.parse("string"), required=True)
    params = (*found.params, expression)
    records = dataclasses.replace(found, name="get_all_records_where", params=params)
    references = dataclasses.replace(
        found, name="get_all_where", params=params, result=kinds.parse(f"{found.of} ref set")
    )
    return {**messages, records.name: records, references.name: references}


@functools.cache
def load() -> Model:
    """The table beside this file (made by derive.py)."""
    table = json.loads(gzip.decompress(Path(__file__).with_name("model.json.gz").read_bytes()))
    enums = {name: values for one in table["classes"].values() for name, values in one["enums"].items()}
    return Model(
        source=table["source"],
        classes={name: _class(name, entry) for name, entry in table["classes"].items()},
        enums={name: frozenset(values) for name, values in enums.items()},
        errors={code: names and tuple(names) for code, names in table["errors"].items()},
    )
