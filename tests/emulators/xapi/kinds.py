"""The types of the data model, parsed: what a value of each must look like, and its null."""

import datetime
import functools
from dataclasses import dataclass
from typing import Any

NULL = "OpaqueRef:NULL"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`shape` is string, int, float, bool, datetime, ref, enum, record, set, map, option, void or any.

    `of` names the class of a ref or record, or the enum; `inner` are the kinds of a set, map or option.
    """

    shape: str
    of: str = ""
    inner: tuple["Kind", ...] = ()


_PLAIN = {"string", "int", "float", "bool", "datetime", "void"}


@functools.cache
def parse(text: str) -> Kind:
    """A type as xenapi.json writes it, e.g. `(string -> VDI ref set) map`."""
    if text in _PLAIN:
        return Kind(shape=text)
    for word, shape in ((" set", "set"), (" option", "option")):
        if text.endswith(word):
            return Kind(shape=shape, inner=(parse(text.removesuffix(word)),))
    if text.startswith("(") and text.endswith(") map"):
        key, value = text[1:-5].split(" -> ", 1)
        return Kind(shape="map", inner=(parse(key), parse(value)))
    if text.startswith("enum "):
        return Kind(shape="enum", of=text[5:])
    of, _, shape = text.rpartition(" ")
    return Kind(shape=shape, of=of) if shape in {"ref", "record"} and of != "<class>" else Kind(shape="any")


def null(kind: Kind) -> Any:
    """What a field holds that nobody gave a value."""
    empty: dict[str, Any] = {
        "string": "", "int": 0, "float": 0.0, "bool": False, "datetime": EPOCH, "ref": NULL, "enum": "",
    }  # fmt: skip
    if kind.shape == "set":
        return []
    return {} if kind.shape in {"map", "record"} else empty.get(kind.shape, "")


def literal(kind: Kind, text: str) -> Any:
    """A default as the model writes it (OCaml's way): `"1.0"`, `-1.`, `{}`, `Null`."""
    if text in {"Null", "None", NULL} or text.startswith("{"):
        return null(kind)
    if kind.shape == "int":
        return int(text)
    if kind.shape == "float":
        return float(text)
    if kind.shape == "bool":
        return text == "true"
    return null(kind) if kind.shape == "datetime" else text.strip('"')
