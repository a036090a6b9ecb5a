"""What the pool's records say, kept up to date by its event stream: one call for everything that changed.

The first look brings every record of the classes; whoever looks once (`list`) makes one call.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from skinnybox.hosts.xapi.session import EVENTS_AT_ONCE, Sessions

Record = dict[str, Any]
"""As XML-RPC has it: integers are strings."""

_FRESH = 1.0
"""Seconds for which a look serves the next one as well, unless we changed something meanwhile."""


class PoolCache:
    """Classes as event.from takes them, e.g. `VM`; `wait` is for what changes in those `waited` for."""

    def __init__(self, sessions: Sessions, waited: Sequence[str], *others: str) -> None:
        self._sessions, self._classes, self._waited = sessions, [*waited, *others], list(waited)
        self._lock = threading.Lock()
        self._began = float("-inf")
        self._begin()

    def _begin(self) -> None:
        self._tables: dict[str, dict[str, Record]] = {name.lower(): {} for name in self._classes}
        self._token, self._at, self._changes = "", float("-inf"), -1

    def refresh(self, *, anew: bool = False) -> None:
        """Be as the pool is now; `anew`: not as it was just a moment ago. Of several threads that ask at the
        same time, one asks for all."""
        asked = time.monotonic()
        with self._lock:
            fresh = time.monotonic() - self._at < _FRESH and self._changes == self._sessions.changes
            if (fresh and not anew) or self._began > asked:
                return
            changes, self._began = self._sessions.changes, time.monotonic()
            if not self._take():
                self._begin()  # it forgot what was deleted since: from the beginning
                self._take()
            self._at, self._changes = time.monotonic(), changes

    def _take(self) -> bool:
        """Whether we have as many records now as the pool."""
        news = self._sessions.call("event.from", self._classes, self._token, 0.0)
        for event in news["events"]:
            table = self._tables[event["class"]]
            if event["operation"] == "del" or "snapshot" not in event:  # deleted since: "del" comes next
                table.pop(event["ref"], None)
            else:
                table[event["ref"]] = event["snapshot"]
        self._token = news["token"]
        counts = news["valid_ref_counts"]
        return all(int(counts.get(name, len(table))) == len(table) for name, table in self._tables.items())

    def wait(self, timeout: float) -> None:
        """Until something of those classes changed since the last look, or `timeout` seconds."""
        with self._lock:
            token = self._token
        self._sessions.call("event.from", self._waited, token, min(timeout, EVENTS_AT_ONCE))
        with self._lock:
            self._at = float("-inf")

    def all(self, of: str) -> list[tuple[str, Record]]:
        """(reference, record) of that class, as of the last look."""
        with self._lock:
            return list(self._tables[of.lower()].items())

    def get(self, of: str, reference: str) -> Record | None:
        with self._lock:
            return self._tables[of.lower()].get(reference)

    def where(self, of: str, **values: Any) -> Iterator[tuple[str, Record]]:
        for reference, record in self.all(of):
            if all(record[name] == value for name, value in values.items()):
                yield reference, record
