"""What happened to machines, written down by whoever looks: a pool tells no more than how things are now."""

import fcntl
import os
import threading
from pathlib import Path
from uuid import UUID

from skinnybox.hosts import events
from skinnybox.hosts.events import Event, EventKind, Journal
from skinnybox.hosts.xapi import observe
from skinnybox.hosts.xapi.pool import Pool

_UP = (EventKind.STARTED, EventKind.READY, EventKind.FAILED)


class Told:
    """The events of one state folder. A start and an end that nobody saw are told at the next look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: dict[UUID, tuple[object, ...]] | None = None

    def look(self, pool: Pool) -> None:
        """Write down what is new since the last event of each machine; quick when nothing is."""
        now = observe.pulse(pool)
        with self._lock:
            if now == self._seen:
                return
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._folder / "events.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._write(pool, now)
            finally:
                os.close(lock)
            self._seen = now

    def _write(self, pool: Pool, now: dict[UUID, tuple[object, ...]]) -> None:
        last = {event.uuid: event for event in events.read(self._folder)}
        journal: Journal | None = None
        for uuid, name, kind, detail in self._news(pool, now, last):
            journal = journal or Journal(self._folder)
            journal.write(uuid, name, kind, detail)

    def _news(
        self, pool: Pool, now: dict[UUID, tuple[object, ...]], last: dict[UUID, Event]
    ) -> list[tuple[UUID, str, EventKind, str]]:
        found = []
        ours = pool.ours()
        for uuid in now:
            name, before = ours[uuid][1]["name_label"], last.get(uuid)
            if before is None or before.kind not in _UP:
                found.append((uuid, name, EventKind.STARTED, ""))
            words = observe.stamp(observe.metrics_of(pool, ours[uuid][1]))
            kind = EventKind.READY if words and words[1] == "ready" else EventKind.FAILED
            if words and (before is None or before.kind != kind):
                found.append((uuid, name, kind, words[5] if len(words) > 5 else ""))
        for uuid, event in last.items():
            if uuid not in now and event.kind in _UP and (uuid in ours or self._was_ours(uuid)):
                found.append((uuid, event.name, EventKind.ENDED, "powered off"))
        return found

    def _was_ours(self, uuid: UUID) -> bool:
        """It ran in this pool when we last looked, and is gone."""
        return uuid in (self._seen or {})
