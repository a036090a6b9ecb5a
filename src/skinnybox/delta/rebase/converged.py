"""What a machine had made its own, and its master has the same of by now: a copy in its overlay would say
nothing, so there is none. Another master may have it otherwise again, as the one of before does. So what the
machine made there is remembered, and from what, in a file of the machine's overlay:

    skinnybox-converged 1
    ["etc/motd",["-","sha256:3f...",420,0,0,[]],["-","sha256:9a...",420,0,0,[]]]
    end

A line is the path, what its master had there then, and what the machine had; null for nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skinnybox.delta.rebase.accounts import Ownership
from skinnybox.delta.rebase.facts import Facts, renumbered
from skinnybox.delta.upper import kept_xattrs, sort_key

PATH = "var/lib/skinnybox/converged"
MOST, MOST_BYTES = 10_000, 4 << 20
_HEAD, _END = b"skinnybox-converged 1", b"end"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MOST_ATTRIBUTES, _LONGEST_NAME = 100, 255


@dataclass(frozen=True, slots=True)
class Change:
    """From what its master had, `base`, to what the machine had, `mine`; None for nothing. Never both."""

    base: Facts | None
    mine: Facts | None


class Converged:
    """By path, as the last rebase left it. What is remembered or forgotten meanwhile counts for the next one.
    `restored` is what a path becomes that the machine has nothing at any more."""

    def __init__(self, found: Mapping[bytes, Change] | None = None) -> None:
        self._found = dict(found or {})
        self._next = dict(self._found)
        self.restored: dict[bytes, Facts] = {}
        self.left_out = 0

    def __contains__(self, path: bytes) -> bool:
        return path in self._found

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._found)

    def at(self, path: bytes) -> Change | None:
        return self._found.get(path)

    def remember(self, path: bytes, change: Change) -> None:
        """Of no more than so many: who changes more than that has a master of its own to build."""
        if path not in self._next and len(self._next) >= MOST:
            self.left_out += 1
        else:
            self._next[path] = change

    def forget(self, path: bytes) -> None:
        self._next.pop(path, None)

    def text(self) -> bytes | None:
        """Of the file; None for none."""
        if not self._next:
            return None
        lines = [_line(path, self._next[path]) for path in sorted(self._next, key=sort_key)]
        size = 0
        for number, line in enumerate(lines):
            size += len(line) + 1
            if size > MOST_BYTES - len(_HEAD) - len(_END) - 2:
                self.left_out += len(lines) - number
                del lines[number:]
                break
        return b"\n".join([_HEAD, *lines, _END, b""])


def read(text: bytes | None, owners: Ownership) -> Converged | None:
    """With numbers of the new stack. None for what was not written so: a guest may have been at it."""
    if text is None:
        return Converged()
    lines = text.split(b"\n")
    if lines[:1] != [_HEAD] or lines[-2:] != [_END, b""] or len(lines) > MOST + 3 or len(text) > MOST_BYTES:
        return None
    try:
        found = dict(map(_change, lines[1:-2]))
    except (ValueError, TypeError, RecursionError):
        return None
    return Converged({path: _moved(change, owners) for path, change in found.items()})


def _moved(change: Change, owners: Ownership) -> Change:
    base, mine = (
        None if facts is None else renumbered(facts, owners) for facts in (change.base, change.mine)
    )
    return Change(base, mine)


def _line(path: bytes, change: Change) -> bytes:
    told = [path.decode("utf-8", "surrogateescape"), _told(change.base), _told(change.mine)]
    return json.dumps(told, separators=(",", ":")).encode()


def _told(facts: Facts | None) -> list[Any] | None:
    if facts is None:
        return None
    content = facts.content.hex() if isinstance(facts.content, bytes) else facts.content
    if facts.type == "-" and not _DIGEST.fullmatch(str(content)):
        content = None  # unlike the masters', and read by nobody
    xattrs = [[name, value.hex()] for name, value in facts.xattrs]
    return [facts.type, content, facts.mode, *facts.owner, xattrs]


def _change(line: bytes) -> tuple[bytes, Change]:
    """ValueError, TypeError for what is none."""
    path, base, mine = json.loads(line)
    if type(path) is not str:
        raise ValueError("no path")
    raw = path.encode("utf-8", "surrogateescape")
    if not 0 < len(raw) <= 4096 or b"\0" in raw or any(p in (b"", b".", b"..") for p in raw.split(b"/")):
        raise ValueError("no path")
    change = Change(_facts(base), _facts(mine))
    if change.base == change.mine:
        raise ValueError("no change")
    return raw, change


def _facts(value: Any) -> Facts | None:
    if value is None:
        return None
    kind, content, mode, uid, gid, attributes = value
    if kind not in ("-", "d", "l", "c", "b", "p", "s"):
        raise ValueError("no type")
    xattrs = tuple(sorted((_name(name), bytes.fromhex(raw)) for name, raw in attributes[:_MOST_ATTRIBUTES]))
    if kept_xattrs(dict(xattrs)) != dict(xattrs):
        raise ValueError("an attribute of overlayfs itself")
    owner = _number(uid, 1 << 32), _number(gid, 1 << 32)
    return Facts(kind, _content(kind, content), _number(mode, 1 << 12), owner, xattrs)


def _content(kind: str, content: Any) -> object:
    if kind == "-" and (content is None or _DIGEST.fullmatch(content)):
        return content
    if kind == "l":
        return bytes.fromhex(content)
    if kind in "bc":
        return _number(content, 1 << 63)
    if kind not in "dps" or content is not None:
        raise ValueError("no content")
    return None


def _name(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= _LONGEST_NAME or "\0" in value:
        raise ValueError("no name")
    return value


def _number(value: Any, below: int) -> int:
    if type(value) is not int or not 0 <= value < below:
        raise ValueError("no number")
    return value
