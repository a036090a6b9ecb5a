"""What happened to machines, written down by whoever looks: a pool tells no more than how things are now."""

import fcntl
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from skinnybox import private
from skinnybox.hosts import events, thresholds
from skinnybox.hosts.events import COMMANDED, Event, EventKind, Journal, Thresholds
from skinnybox.hosts.xapi import observe
from skinnybox.hosts.xapi.doors import Doors, Start
from skinnybox.hosts.xapi.guest_metrics import Stamp, stamp_of
from skinnybox.hosts.xapi.pool import Pool

_UP = (EventKind.STARTED, EventKind.READY, EventKind.FAILED)
_POWER = (*_UP, EventKind.ENDED)
_MOST, _WITHIN = 20, timedelta(minutes=20)
"""So many events a guest may cause in such a time: it can lie back and forth for ever."""

News = tuple[UUID, str, EventKind, str]


@dataclass(slots=True)
class _Known:
    """What is written down already: of each machine its last start or end, the level of its overlay, and how
    many events it caused lately."""

    power: dict[UUID, Event] = field(default_factory=dict)
    level: dict[UUID, int] = field(default_factory=dict)
    caused: Counter[UUID] = field(default_factory=Counter)


class ObservedEvents:
    """The events of one state folder. A start and an end that nobody saw are told at the next look."""

    def __init__(self, folder: Path, thresholds: Thresholds, doors: Doors) -> None:
        self._folder, self._thresholds, self._doors = folder, thresholds, doors
        self._lock = threading.Lock()
        self._seen: dict[UUID, tuple[object, ...]] | None = None
        self._open: frozenset[Start] = frozenset()
        self._ready: dict[UUID, datetime] | None = None

    @property
    def ready(self) -> dict[UUID, datetime]:
        """When each machine was first seen to be ready after its last start that was told."""
        if self._ready is None:
            self._ready = _ready(_known(events.read(self._folder)))
        return self._ready

    def observe(self, pool: Pool, now: dict[UUID, tuple[object, ...]]) -> None:
        """Write down what is new since the last event of each machine; quick when nothing is. `now` is the
        pool's pulse."""
        with self._lock:
            opened = self._doors.open
            if now == self._seen and opened == self._open:
                return
            private.make_folder(self._folder)
            lock = os.open(self._folder / "events.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._write(pool, now)
            finally:
                os.close(lock)
            self._seen, self._open = now, opened

    def _write(self, pool: Pool, now: dict[UUID, tuple[object, ...]]) -> None:
        known = _known(events.read(self._folder))
        self._ready = _ready(known)
        journal: Journal | None = None
        for uuid, name, kind, detail in self._news(pool, now, known):
            journal = journal or Journal(self._folder)
            journal.write(uuid, name, kind, detail)

    def _news(self, pool: Pool, now: dict[UUID, tuple[object, ...]], known: _Known) -> Iterator[News]:
        ours = pool.ours()
        for uuid in now:
            if uuid not in ours:  # gone since; another thread has seen it
                continue
            name, before = ours[uuid][1]["name_label"], known.power.get(uuid)
            if before is None or before.kind not in _UP:
                yield uuid, name, EventKind.STARTED, ""
            stamp = stamp_of(observe.metrics_of(pool, ours[uuid][1]))
            if stamp and known.caused[uuid] < _MOST:
                shut = self._doors.reachable(uuid, stamp.nonce, stamp.host_keys) is False
                for kind, detail in self._said(stamp, shut, before, known.level.get(uuid, thresholds.QUIET)):
                    yield uuid, name, kind, detail
        for uuid, event in known.power.items():
            if uuid not in now and event.kind in _UP and (uuid in ours or self._was_ours(uuid)):
                yield uuid, event.name, EventKind.ENDED, "powered off"

    def _said(
        self, stamp: Stamp, shut: bool, before: Event | None, level: int
    ) -> Iterator[tuple[EventKind, str]]:
        kind = EventKind.READY if stamp.ready else EventKind.FAILED
        waits = stamp.checking or (stamp.ready and shut)
        if (before is None or before.kind != kind) and not waits:
            yield kind, stamp.reason or ""
        if stamp.overlay:
            size, free = stamp.overlay
            percent = 100 * (size - free) / size
            now = thresholds.level_of(percent, level, self._thresholds)
            if now != level:
                yield thresholds.event_of(now, level), thresholds.detail(percent)

    def _was_ours(self, uuid: UUID) -> bool:
        """It ran in this pool when we last looked, and is gone."""
        return uuid in (self._seen or {})


def _ready(known: _Known) -> dict[UUID, datetime]:
    return {uuid: event.time for uuid, event in known.power.items() if event.kind is EventKind.READY}


def _known(written: Iterable[Event]) -> _Known:
    known, since = _Known(), datetime.now(UTC) - _WITHIN
    for event in written:
        if event.kind in _POWER:
            known.power[event.uuid] = event
        level = thresholds.level_told(event.kind)
        if level is not None:
            known.level[event.uuid] = level
        if event.kind not in (EventKind.STARTED, EventKind.ENDED, *COMMANDED) and event.time > since:
            known.caused[event.uuid] += 1
    return known
