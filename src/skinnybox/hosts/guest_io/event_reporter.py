"""The supervisor's word on one machine: which of what it sees becomes an event, and how often.

What was told last is kept in the machine's run folder, so that another supervisor goes on from there.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox.errors import Corrupt
from skinnybox.hosts import thresholds
from skinnybox.hosts.events import DEFAULT_THRESHOLDS, EventKind, Journal, Thresholds
from skinnybox.json_file import read_json, write_json
from skinnybox.model import Report

FILE = "told.json"
AT_ONCE, REFUSED_AT_ONCE, SECONDS_EACH = 20, 5, 60.0
"""A guest may cause twenty events at once, five more by reports that are none, and then one of each a minute:
it can lie back and forth for ever."""


class Allowance:
    """So many at once, and then one each SECONDS_EACH; how many were refused is added to the next."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most, self._now = most, now
        self._left, self._since, self._refused = float(most), now(), 0

    def take(self, detail: str) -> str | None:
        """The detail to tell; None when this may not be told."""
        now = self._now()
        self._left = min(self._most, self._left + (now - self._since) / SECONDS_EACH)
        self._since = now
        if self._left < 1:
            self._refused += 1
            return None
        self._left -= 1
        refused, self._refused = self._refused, 0
        return f"{detail} ({refused} before it were left out)".strip() if refused else detail


class Teller:
    """`values` are those of machine.json. What there is no allowance for is told later, if still so then."""

    def __init__(
        self,
        folder: Path,
        uuid: UUID,
        values: dict[str, Any],
        journal: Journal,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._uuid, self._journal = folder / FILE, uuid, journal
        self._name = str(values.get("name", ""))
        self._note = str(values.get("note", ""))
        self._thresholds = _thresholds(values)
        self._changes, self._refusals = Allowance(AT_ONCE, now), Allowance(REFUSED_AT_ONCE, now)
        told = read_json(self._path) or {}
        level = told.get("level")
        self._level = (
            level
            if level in (thresholds.QUIET, thresholds.WARNING, thresholds.CRITICAL)
            else thresholds.QUIET
        )
        self._state = told.get("state") if told.get("nonce") == values["nonce"] else None
        self._nonce = values["nonce"]

    def started(self) -> None:
        """Told once for each start."""
        if self._state is None:
            self._tell(EventKind.STARTED, self._note)
            self._keep("starting", self._level)

    def heard(self, said: Report | Corrupt) -> None:
        """A report came, or what was none."""
        if isinstance(said, Corrupt):
            self._tell_if(self._refusals, EventKind.REPORT_REFUSED, said.message)
            return
        state = "ready" if said.ready else "failed"
        waits = said.checking or (said.ready and said.reachable is False)
        if state != self._state and not waits:
            kind = EventKind.READY if said.ready else EventKind.FAILED
            if self._tell_if(self._changes, kind, said.reason or ""):
                self._keep(state, self._level)
        self._weigh(said)

    def stalled(self) -> None:
        """The disk below its overlay is full."""
        self._tell_if(self._changes, EventKind.STALLED, "the disk below its overlay is full")

    def went_on(self, seconds: float) -> None:
        self._tell_if(self._changes, EventKind.WENT_ON, f"after {seconds:.0f} s")

    def ended(self, how: str) -> None:
        """Told once, also when two supervisors in turn come to it."""
        if self._state != "ended":
            self._tell(EventKind.ENDED, how)
            self._keep("ended", self._level)

    def _weigh(self, report: Report) -> None:
        if not report.overlay_size or report.overlay_free is None:
            return
        used = report.overlay_size - report.overlay_free
        percent = 100 * used / report.overlay_size
        level = thresholds.level_of(percent, self._level, self._thresholds)
        if level == self._level:
            return
        kind = thresholds.event_of(level, self._level)
        if self._tell_if(self._changes, kind, thresholds.detail(percent)):
            self._keep(self._state, level)

    def _tell_if(self, allowance: Allowance, kind: EventKind, detail: str) -> bool:
        told = allowance.take(detail)
        if told is not None:
            self._tell(kind, told)
        return told is not None

    def _tell(self, kind: EventKind, detail: str) -> None:
        # A full disk costs the event, never the machine or this process.
        with contextlib.suppress(OSError):
            self._journal.write(self._uuid, self._name, kind, detail)

    def _keep(self, state: str | None, level: int) -> None:
        self._state, self._level = state, level
        with contextlib.suppress(OSError):
            write_json(self._path, {"nonce": self._nonce, "state": state, "level": level})


def _thresholds(values: dict[str, Any]) -> Thresholds:
    """Those of the settings when it was started."""
    match values.get("thresholds"):
        case [int(warning), int(critical)]:
            return Thresholds(warning=warning, critical=critical)
        case _:
            return DEFAULT_THRESHOLDS
