"""What happened to the machines of one state folder, as a bounded file of JSON objects, one a line.

    {"number": 7, "time": "...", "uuid": "...", "name": "web-01", "kind": "overlay-warning", "detail": "..."}

`events.jsonl` becomes `events.jsonl.1` when it has LIMIT bytes; there are never more than both. Numbers rise
by one and go on over restarts.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox import named_file, private
from skinnybox.printable import printable
from skinnybox.values import dataclass

FILE = "events.jsonl"
LIMIT = 1 << 20
MOST_DETAIL = 500
_LONGEST = 8192
_HEAD = b'{"number": '


class EventKind(StrEnum):
    STARTED = "started"
    READY = "ready"
    FAILED = "failed"
    ENDED = "ended"
    REPORT_REFUSED = "report-refused"
    OVERLAY_WARNING = "overlay-warning"
    OVERLAY_CRITICAL = "overlay-critical"
    OVERLAY_RECOVERED = "overlay-recovered"
    STALLED = "stalled"
    WENT_ON = "went-on"
    TRIAL = "trial"
    REBASED = "rebased"
    ROLLED_BACK = "rolled-back"
    COMMITTED = "committed"


COMMANDED = frozenset({EventKind.TRIAL, EventKind.REBASED, EventKind.ROLLED_BACK, EventKind.COMMITTED})
"""What a command tells of, and no guest causes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`name` is the machine's at that time; `detail` is printable text, and may be the guest's word."""

    number: int
    time: datetime
    uuid: UUID
    name: str
    kind: EventKind
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Percent of its overlay that a machine uses when it is first and last warned of."""

    warning: int = 80
    critical: int = 95


DEFAULT_THRESHOLDS = Thresholds()


class Journal:
    """A writer. Others may write to the same folder, also from other processes: the supervisor what happens
    to machines, a command that it could not start one. Who reads needs none."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / FILE
        self._number = 0
        self._left: tuple[int, int] | None = None
        """The file and its size when we had written to it last."""

    def write(self, uuid: UUID, name: str, kind: EventKind, detail: str = "") -> None:
        """Raises OSError when the disk is full."""
        values = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "uuid": str(uuid),
            "name": name,
            "kind": kind.value,
            "detail": printable(detail)[:MOST_DETAIL],
        }
        private.make_folder(self._folder)
        while not self._written(values):
            pass

    def _written(self, values: dict[str, str]) -> bool:
        """False when the file was full, and has made room for a new one. Somebody else may be the first to
        write to that, so all is looked at again."""
        file = self._alone()
        try:
            line = json.dumps({"number": self._next(file), **values}).encode() + b"\n"
            size = os.fstat(file).st_size
            if size and size + len(line) > LIMIT:
                self._path.replace(self._path.with_suffix(".jsonl.1"))
                return False
            os.write(file, line)
            self._number, self._left = self._number + 1, _state(file)
            return True
        finally:
            os.close(file)

    def _alone(self) -> int:
        """A descriptor of the file that has the name now; nobody else writes to it until that is closed."""
        while True:
            file = private.to_append(self._path)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(file), self._path.stat()):
                    return file
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def _next(self, file: int) -> int:
        """One above the last, whoever wrote that."""
        if self._left != _state(file):
            self._number = max((event.number for event in read(self._folder)), default=0)
            self._left = _state(file)
        return self._number + 1


def _state(file: int) -> tuple[int, int]:
    found = os.fstat(file)
    return found.st_ino, found.st_size


def read(folder: Path, after: int = 0) -> Iterator[Event]:
    """Those kept with a number above `after`, oldest first. What is none, as a kill leaves it, is skipped."""
    for name in (f"{FILE}.1", FILE):
        for line in _lines(folder / name):
            if _is_before(line, after):
                continue
            event = _event(line)
            if event is not None and event.number > after:
                after = event.number
                yield event


def _lines(path: Path) -> Iterator[bytes]:
    """As far as they can be read. A file that cannot, `repair --dry-run` names; the other one counts."""
    with suppress(OSError), named_file.opened(path) as text:
        yield from text


def _is_before(line: bytes, after: int) -> bool:
    """Whether it plainly has no higher number: who looks every second need not parse what they know."""
    digits = line[len(_HEAD) : len(_HEAD) + 20].partition(b",")[0]
    return line.startswith(_HEAD) and digits.isdigit() and int(digits) <= after


def _event(line: bytes) -> Event | None:
    try:
        values: dict[str, Any] = json.loads(line[:_LONGEST])
        return Event(
            number=int(values["number"]),
            time=datetime.fromisoformat(values["time"]),
            uuid=UUID(values["uuid"]),
            name=str(values["name"]),
            kind=EventKind(values["kind"]),
            detail=str(values["detail"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
