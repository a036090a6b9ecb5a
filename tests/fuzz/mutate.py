"""Inputs made to hurt: bytes, text and JSON values, changed by chance from one that is good."""

import random
from collections.abc import Sequence
from typing import Any

BYTES = (0x00, 0x01, 0x09, 0x0A, 0x0D, 0x1B, 0x20, 0x22, 0x27, 0x2F, 0x5C, 0x7F, 0x80, 0xC0, 0xED, 0xFF)
NUMBERS = (0, -1, 1, 255, 2**15, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63))
TEXTS = (
    "",
    " ",
    ".",
    "..",
    "/",
    "../../etc/passwd",
    "/etc/passwd",
    "a" * 300,
    "a\nb",
    "a\0b",
    "\x1b]0;owned\x07",
    "\u202e\ud800",
    "é" * 40,
    "-rf",
    "--help",
    "$(reboot)",
    "`reboot`",
    "%n%s",
    "'; DROP TABLE instances; --",
    "sha256:" + "0" * 64,
    "9" * 5000,
    "1e999",
    "NaN",
    "null",
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0.5, float("inf"), float("nan"), [], {}, [[]], [None], {"": None}, *NUMBERS, *TEXTS,
)  # fmt: skip

_LONGEST = 200
"""Of lists made longer, in members."""
_HEAVIEST = 4 << 20
"""Of a value, in members and characters: a list a hundred times in a list a hundred times in a third took all
the memory of a host to write down."""


def mutated(data: bytes, chance: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """One to six changes: bits, bytes, pieces cut, doubled, moved, words put in, the end cut off."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        _change(out, chance, words)
    return bytes(out)


def _change(out: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    at = chance.randrange(len(out) + 1)
    length = min(chance.choice((1, 1, 2, 4, 8, 40, 500)), len(out) - at)
    match chance.randrange(9):
        case 0 if at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        case 1 if at < len(out):
            out[at] = chance.choice(BYTES)
        case 2:
            del out[at : at + length]
        case 3:
            out[at:at] = out[at : at + length] * chance.choice((1, 2, 50))
        case 4:
            out[at:at] = chance.randbytes(chance.choice((1, 3, 30)))
        case 5 if words:
            out[at:at] = chance.choice(words)
        case 6 if words:
            out[at : at + length] = chance.choice(words)
        case 7:
            del out[at:]
        case _:
            out[at:at] = str(chance.choice(NUMBERS)).encode()


def lines_mixed(data: bytes, chance: random.Random) -> bytes:
    """Whole lines dropped, doubled and moved."""
    lines = data.split(b"\n")
    for _ in range(chance.randrange(1, 4)):
        at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(3):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(to, lines[at])
            case _:
                lines[at], lines[to] = lines[to], lines[at]
    return b"\n".join(lines)


def twisted(value: Any, chance: random.Random) -> Any:
    """A JSON value with one to three of its parts replaced, dropped, renamed or nested."""
    copy = _copy(value)
    for _ in range(chance.choice((1, 1, 2, 3))):
        changed = _twist(_copy(copy), chance)
        if _weight(changed, _HEAVIEST) <= _HEAVIEST:
            copy = changed
    return copy


def _weight(value: Any, most: int) -> int:
    """In members and characters, each as often as it would be written; counted until it is above `most`."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        inner = value
    weight = 1 + (len(value) if isinstance(value, str) else 0)
    for each in inner:
        if weight > most:
            break
        weight += _weight(each, most - weight)
    return weight


def _twist(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(sorted(value, key=str))
        match chance.randrange(8):
            case 0:
                del value[key]
            case 1:
                value[chance.choice(TEXTS)] = value.pop(key)
            case 2:
                value[chance.choice(TEXTS)] = _copy(chance.choice(VALUES))
            case _:
                value[key] = _twist(value[key], chance)
        return value
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        value[at] = _twist(value[at], chance)
        times = chance.choice((1, 1, 1, 100))
        return value * times if len(value) * times <= _LONGEST else value
    if isinstance(value, str) and chance.random() < 0.4:
        changed = mutated(value.encode("utf-8", "surrogatepass"), chance)
        return changed.decode("utf-8", "replace")
    return _nested(chance) if chance.random() < 0.05 else _copy(chance.choice(VALUES))


def _nested(chance: random.Random) -> Any:
    value: Any = 0
    for _ in range(chance.choice((5, 200))):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value
