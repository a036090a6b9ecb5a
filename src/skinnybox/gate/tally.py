"""What a server has answered and what its jobs came to, counted since it began."""

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skinnybox.fleet.jobs import Condition, Job
from skinnybox.fleet.service import Fleet

BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 7200)
"""Seconds: a reset takes one, a start some, a build of a master many."""


@dataclass(slots=True)
class Durations:
    """A histogram. `buckets` are how many took no longer than each of BUCKETS."""

    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    total: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        for number, most in enumerate(BUCKETS):
            self.buckets[number] += seconds <= most
        self.total += seconds
        self.count += 1


class Tally:
    """Of one server, also of what other commands did meanwhile. Thread-safe."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._lock = fleet, threading.Lock()
        self._last: int | None = None
        self._running: tuple[int, ...] = ()
        self.answers: Counter[int] = Counter()
        self.jobs: Counter[tuple[str, str]] = Counter()
        self.durations: defaultdict[str, Durations] = defaultdict(Durations)

    def begin(self) -> None:
        """From now on jobs are counted."""
        with self._lock:
            self._last = self._fleet.jobs.newest()
            self._running = tuple(job.number for job in self._fleet.jobs.all(running=True))

    def look(self) -> int:
        """Count the jobs that have ended since it was looked last; how many go on."""
        if self._last is None:
            self.begin()
        with self._lock:
            found = self._fleet.jobs.later(self._last or 0, self._running)
            for job in found:
                self._count(job)
            self._last = max((self._last or 0, *(job.number for job in found)))
            going_on = [job.number for job in found if job.condition is Condition.RUNNING]
            self._running = tuple(going_on)
            return len(going_on)

    def _count(self, job: Job) -> None:
        if job.condition is Condition.RUNNING:
            return
        self.jobs[job.verb, str(job.condition)] += 1
        if job.ended is not None:
            begun, ended = map(datetime.fromisoformat, (job.begun, job.ended))
            self.durations[job.verb].add((ended - begun).total_seconds())


class Tallied:
    """Around the whole application: counts each answer by its status."""

    def __init__(self, app: ASGIApp, tally: Tally) -> None:
        self._app, self._tally = app, tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._tally.answers[message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counted)
