"""One who follows: what is on its way to them, as server-sent events (WHATWG HTML, section 9.2).

    id: 7                        event: job
    event: ready                 data: {"job": 3, ...}
    data: {"number": 7, ...}

What happened to machines has a number, by which a browser goes on where it was (Last-Event-ID). A job has
none: of each only the latest is sent, and whoever comes is told at first how the last ones are.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

from skinnybox.gate.principal import Principal

HEARTBEAT = 15.0
"""Seconds after which something is sent in any case, and after which it is asked whether they still may."""
ROOM = 500
"""Events that wait for one client. Who is slower falls behind in what is kept, and nobody waits for them."""


class Follower:
    """Made in the loop in which its messages are sent; handed them by another thread."""

    def __init__(self, who: Principal, after: int | None) -> None:
        self.who, self.after = who, after
        self.jobs_known = False
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._events: deque[bytes] = deque()
        self._jobs: dict[int, bytes] = {}
        self._ended = False

    @property
    def room(self) -> int:
        return max(0, ROOM - len(self._events))

    def sees(self, machine: UUID, belongs: Callable[[UUID], str | None]) -> bool:
        return self.who.fleet is None or belongs(machine) == self.who.fleet

    def hand(self, events: Sequence[bytes], jobs: dict[int, bytes]) -> None:
        """From another thread."""
        if events or jobs:
            self._in_loop(lambda: self._take(events, jobs))

    def end(self) -> None:
        """From any thread; idempotent."""
        self._in_loop(self._end)

    def _in_loop(self, act: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act)

    def _take(self, events: Sequence[bytes], jobs: dict[int, bytes]) -> None:
        self._events.extend(events)
        self._jobs.update(jobs)
        self._woken.set()

    def _end(self) -> None:
        self._ended = True
        self._woken.set()

    async def messages(self, may_stay: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """Until it is ended, or they may stay no more."""
        yield b"retry: 2000\n\n"
        looked = time.monotonic()
        while not self._ended:
            if time.monotonic() - looked >= HEARTBEAT:
                looked = time.monotonic()
                if not await may_stay():
                    return
                yield b": \n\n"
            if message := self._next():
                yield message
                continue
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), HEARTBEAT)
            except TimeoutError:
                continue

    def _next(self) -> bytes:
        """All there is, as one piece."""
        found = b"".join((*self._events, *self._jobs.values()))
        self._events.clear()
        self._jobs.clear()
        return found
