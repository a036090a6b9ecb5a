"""The guest's report on a pool: one line in xenstore's `data/ts`, which is among the few keys xapi shows.

    1 STATE NONCE IMAGE[,IMAGE...] GENERATION [TAIL]

STATE is ready, failed or checking, NONCE what the guest was told, IMAGE the filesystem UUIDs that are
mounted, GENERATION that of the seed applied; what is not known is `-`. The TAIL is words NAME=VALUE, of which
unknown ones are passed over, and behind them, of those that are not ready, the reason: a text.

    overlay=SIZE/FREE   bytes        dax=on|off        key=TYPE:BASE64   a public ssh host key; may repeat
    failed=UNIT         what the guest's init could not start; may repeat
    swap=SIZE           bytes that are on
    rebase=ID/done|failed   what became of a rebase's tasks; why is the reason
    inactive=UNIT       what ran before a rebase, and does not now; may repeat

A guest may write what it likes: everything is bounded and checked, and a word that is not understood is not
there.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any
from uuid import UUID

from skinnybox.hosts import host_keys
from skinnybox.hosts.events import MOST_DETAIL
from skinnybox.model import RebaseTasks
from skinnybox.printable import printable

LONGEST = 4096
"""Bytes: xenstore takes no more, with the key's name."""
MOST_KEYS = 8
_MOST_IMAGES = 64
_LARGEST = 1 << 50
_NONCE = re.compile("[0-9a-f]{32}|-")
_NUMBER = re.compile("[0-9]{1,9}")
_STATES = ("ready", "failed", "checking")
_WORD = re.compile("(?:overlay|dax|key|failed|swap|rebase|inactive)=.*")
_REBASE = re.compile("([0-9a-f]{1,64})/(done|failed)")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]{1,255}")
_MOST_UNITS = 64
_OVERLAY = re.compile("([0-9]{1,16})/([0-9]{1,16})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """`overlay` is size and free space in bytes."""

    ready: bool
    nonce: str
    images: tuple[UUID, ...]
    generation: int | None
    reason: str | None = None
    overlay: tuple[int, int] | None = None
    dax: bool | None = None
    swap: int | None = None
    host_keys: tuple[str, ...] = ()
    failed_units: tuple[str, ...] = ()
    checking: bool = False
    rebase: RebaseTasks | None = None
    inactive_units: tuple[str, ...] = ()


def stamp_of(metrics: Mapping[str, Any] | None) -> Stamp | None:
    """Of a VM_guest_metrics record; None when there is none that can be understood."""
    text = str((metrics or {}).get("other", {}).get("data-ts", ""))[:LONGEST]
    version, state, nonce, images, generation, tail = (*text.split(" ", 5), *[""] * 6)[:6]
    known = version == "1" and state in _STATES and _NONCE.fullmatch(nonce)
    if not known or not (generation == "-" or _NUMBER.fullmatch(generation)):
        return None
    ready = state == "ready"
    count = None if ready else sum(1 for _ in takewhile(_WORD.fullmatch, tail.split(" ")))
    words = [word.partition("=") for word in tail.split(" ")[:count]]
    reason = " ".join(tail.split(" ")[count:]) if not ready else ""
    why = printable(reason[:MOST_DETAIL]) if reason else None
    return Stamp(
        ready=ready,
        nonce=nonce,
        images=_images(images),
        generation=None if generation == "-" else int(generation),
        reason=why,
        checking=state == "checking",
        rebase=_first(_rebase(value, why) for name, _, value in words if name == "rebase"),
        inactive_units=_units([value for name, _, value in words if name == "inactive"]),
        overlay=_first(_overlay(value) for name, _, value in words if name == "overlay"),
        dax=_first({"on": True, "off": False}.get(value) for name, _, value in words if name == "dax"),
        swap=_first(_size(value) for name, _, value in words if name == "swap"),
        failed_units=_units([value for name, _, value in words if name == "failed"]),
        host_keys=_keys([value for name, _, value in words if name == "key"]),
    )


def _first(found: Any) -> Any:
    return next((each for each in found if each is not None), None)


def _images(text: str) -> tuple[UUID, ...]:
    try:
        return tuple(UUID(each) for each in text.split(",")[:_MOST_IMAGES] if each != "-")
    except ValueError:
        return ()


def _overlay(text: str) -> tuple[int, int] | None:
    found = _OVERLAY.fullmatch(text)
    if not found:
        return None
    size, free = int(found[1]), int(found[2])
    return (size, free) if 0 < size <= _LARGEST and free <= size else None


def _rebase(text: str, why: str | None) -> RebaseTasks | None:
    found = _REBASE.fullmatch(text)
    if not found:
        return None
    done = found[2] == "done"
    return RebaseTasks(identifier=found[1], done=done, why=None if done else why)


def _size(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,16}", text) and int(text) <= _LARGEST else None


def _units(texts: list[str]) -> tuple[str, ...]:
    return tuple(text for text in texts[:_MOST_UNITS] if _UNIT.fullmatch(text))


def _keys(texts: list[str]) -> tuple[str, ...]:
    """In the order of the report, the first few."""
    found: dict[str, None] = {}
    for text in texts[:MOST_KEYS]:
        with contextlib.suppress(ValueError):
            found[host_keys.checked(text.replace(":", " ", 1))] = None
    return tuple(found)
