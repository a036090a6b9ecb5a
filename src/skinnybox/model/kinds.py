"""Kinds of values a property can have, and what each is as JSON: text, number, true or false, list, map.

What is read may be damaged, or be written by somebody else: a reader raises ValueError, TypeError, KeyError
or AttributeError for what is no such value, and takes nothing for a text that is none.
"""

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from skinnybox.model.machines import (
    Allocation,
    Encryption,
    Forward,
    Network,
    Swap,
    SwapKind,
    ThrowAway,
    Thrown,
)
from skinnybox.model.trial import TrialPhase
from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """`read` makes the value of its JSON, `plain` the JSON of the value; None where the value is that itself.
    Neither is asked about None."""

    name: str
    read: Callable[[Any], Any]
    plain: Callable[[Any], Any] | None = None


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if type(values) is not list:
        raise TypeError(f"{values!r:.40} is no list")
    return tuple(map(_text, values))


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _forwards(values: Any) -> tuple[Forward, ...]:
    """As they were written: what is out of range by now was not then, and is told when it is used."""
    found = [text.rsplit(":", 2) for text in _texts(values)]
    return tuple(Forward(address=address, port=int(port), to=int(to)) for address, port, to in found)


def _forwards_plain(values: tuple[Forward, ...]) -> list[str]:
    return list(map(str, values))


def _labels(values: Any) -> tuple[tuple[str, str], ...]:
    if type(values) is not dict:
        raise TypeError(f"{values!r:.40} is no map")
    return tuple((_text(key), _text(value)) for key, value in sorted(values.items()))


def _swap(value: Any) -> Swap:
    if type(value) is not dict:
        raise TypeError(f"{value!r:.40} is no map")
    size = value["size"]
    return Swap(kind=SwapKind(value["kind"]), size=None if size is None else int(size))


def _throw_away(value: Any) -> ThrowAway:
    if type(value) is not dict:
        raise TypeError(f"{value!r:.40} is no map")
    size = value["size"]
    return ThrowAway(kind=Thrown(value["kind"]), size=None if size is None else int(size))


def _encryption(value: Any) -> Encryption:
    if type(value) is not dict:
        raise TypeError(f"{value!r:.40} is no map")
    file = value["key_file"]
    return Encryption(key_file=None if file is None else _text(file))


def _encryption_plain(value: Encryption) -> dict[str, Any]:
    return {"key_file": value.key_file}


def _kind_and_size(value: Swap | ThrowAway) -> dict[str, Any]:
    return {"kind": str(value.kind), "size": value.size}


TEXT = Kind("text", _text)
TEXTS = Kind("texts", _texts, list)
NUMBER = Kind("number", int)
SIZE = Kind("bytes", int)
MODE = Kind("permission bits", int)
FLAG = Kind("true or false", bool)
TIME = Kind("time", datetime.fromisoformat, datetime.isoformat)
IDENTITY = Kind("UUID", UUID, str)
WAY_OUT = Kind("/".join(Network), Network, str)
ALLOCATION = Kind("/".join(Allocation), Allocation, str)
CONTENT = Kind("base64", _bytes, _base64)
KEYS = Kind("public keys", _texts, list)
SCRIPT = Kind("script", _text)
FORWARDS = Kind("list of ADDRESS:PORT:GUEST_PORT", _forwards, _forwards_plain)
LABELS = Kind("map of texts", _labels, dict)
SWAP = Kind("map of kind (file/zram) and size", _swap, _kind_and_size)
THROW_AWAY = Kind("map of kind (disk/memory) and size", _throw_away, _kind_and_size)
TRIAL_PHASE = Kind("/".join(TrialPhase), TrialPhase, str)
ENCRYPTION = Kind("map of key_file", _encryption, _encryption_plain)
