"""A machine that stands still because the disk below its sparse overlay is full: QEMU stops it in the middle
of a write. It is let go on now and then, until that write gets through."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skinnybox import layout

FILE = "stalled"
"""In the run folder while it stands still. Empty: for that a full disk has room."""
REASON = "the disk below its overlay is full; it goes on by itself when there is room"
EVERY = 2.0
_GO_ON = b'{"execute":"cont"}\n'


class Stall:
    """`say` talks to QEMU; `stopped` and `went_on` (with the seconds it stood still) tell others."""

    def __init__(
        self,
        folder: Path,
        say: Callable[[bytes], None],
        stopped: Callable[[], None],
        went_on: Callable[[float], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mark, self._say, self._now = folder / FILE, say, now
        self._stopped, self._went_on = stopped, went_on
        self._since: float | None = None
        self._next, self._tried = 0.0, False
        self._mark.unlink(missing_ok=True)  # of a supervisor before this one: if it still is so, QEMU says so

    def met(self, error: dict[str, Any]) -> None:
        """QEMU's word (BLOCK_IO_ERROR) of a write that failed. Others than those of a full disk the guest is
        told itself."""
        if error.get("action") != "stop":
            return
        self._next, self._tried = self._now() + EVERY, False
        if self._since is None:
            self._since = self._now()
            with contextlib.suppress(OSError):
                self._mark.touch(mode=layout.FILE)
            self._stopped()

    def tick(self) -> None:
        """It goes on when nothing was said for a while after a try."""
        if self._since is None or self._now() < self._next:
            return
        if self._tried:
            self._mark.unlink(missing_ok=True)
            self._went_on(self._now() - self._since)
            self._since = None
            return
        self._next, self._tried = self._now() + EVERY, True
        self._say(_GO_ON)
