"""The text that host and guest exchange: base, seed, identity and report.

One format for all four, because a POSIX shell must read it with `while read` and awk, and a xenstore value
must hold it. ASCII lines; the first names the kind and its version, the last is `end`; a line is a key, and
optionally a blank and a value; lines that start with a blank carry the base64 payload of the line above:

    skinnybox-seed 1
    hostname web-01
    file /etc/motd 0644 root:root
     SGVsbG8K
    end

Keys may repeat and keep their order. What follows `end` is padding.
"""

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from skinnybox.errors import Corrupt
from skinnybox.printable import quoted
from skinnybox.values import dataclass

_KEY = re.compile(r"[a-z][a-z0-9-]{0,31}")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?|")
_PAYLOAD_COLUMNS = 76


class Line(NamedTuple):
    """A tuple, since thousands are made at once, and a dataclass takes three times as long."""

    key: str
    value: str = ""
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class Message:
    kind: str
    version: int
    lines: tuple[Line, ...]

    def all(self, key: str) -> list[Line]:
        return [line for line in self.lines if line.key == key]

    def get(self, key: str) -> str | None:
        """The value of the first line with this key; None when there is none."""
        return next((line.value for line in self.lines if line.key == key), None)


def encode(kind: str, version: int, lines: Iterable[Line]) -> bytes:
    """Raises ValueError for a key or value the format cannot carry."""
    out = [f"skinnybox-{kind} {version}"]
    for key, value, payload in lines:
        if not _is_key(key):
            raise ValueError(f"not a key: {quoted(key)}")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{key}: a value is printable ASCII on one line, not {quoted(value)}")
        out.append(f"{key} {value}" if value else key)
        if payload is not None:
            text = base64.b64encode(payload).decode("ascii")
            out.extend(" " + text[i : i + _PAYLOAD_COLUMNS] for i in range(0, len(text), _PAYLOAD_COLUMNS))
    out.append("end\n")
    return "\n".join(out).encode("ascii")


@lru_cache(maxsize=256)
def _is_key(word: str) -> bool:
    """Of a few dozen words, which are asked about for each machine."""
    return word != "end" and _KEY.fullmatch(word) is not None


def decode(data: bytes, kind: str, *, limit: int = 65536) -> Message:
    """Parse bytes that may come from a hostile guest.

    At most `limit` bytes are looked at. Raises Corrupt, naming the line, for anything malformed.
    """
    text = data[:limit].decode("ascii", "replace")
    head, _, rest = text.partition("\n")
    version = re.fullmatch(rf"skinnybox-{kind} ([1-9][0-9]{{0,3}})", head)
    if not version:
        raise Corrupt(f"not a {kind}: it starts with {head[:60]!r}")
    lines: list[Line] = []
    payload: list[str] = []
    for number, raw in enumerate(rest.split("\n")[:-1], start=2):
        if raw.startswith(" ") and lines:
            payload.append(raw[1:])
            continue
        if payload:
            lines[-1] = _with_payload(kind, number, lines[-1], payload)
            payload = []
        if raw == "end":
            return Message(kind, int(version[1]), tuple(lines))
        key, _, value = raw.partition(" ")
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise Corrupt(f"{kind}, line {number}: malformed: {raw[:60]!r}")
        lines.append(Line(key, value))
    raise Corrupt(f"{kind}: no `end` within {min(len(data), limit)} bytes")


def _with_payload(kind: str, number: int, line: Line, payload: list[str]) -> Line:
    try:
        return Line(line.key, line.value, base64.b64decode("".join(payload), validate=True))
    except ValueError as error:  # binascii.Error is one, and so is what is said of other than ASCII
        raise Corrupt(f"{kind}, before line {number}: the payload of {line.key} is not base64") from error


def padded(message: bytes, size: int) -> bytes:
    """The message filled with newlines to exactly `size` bytes; ValueError when it does not fit."""
    return fitting(message, size).ljust(size, b"\n")


def fitting(message: bytes, size: int) -> bytes:
    """The message itself; ValueError when it does not fit. What lies behind its `end` is never looked at."""
    if len(message) > size:
        raise ValueError(f"{len(message)} bytes do not fit into {size}")
    return message
