"""How much of what is dear goes on at once in one process, whoever asked for it: machines on their way up,
masters that are made.

One command keeps to that by itself: it has no more threads. A server has several jobs, each with as many; so
each of them takes a turn as well, which is the fleet's.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from skinnybox.operation import Operation

_NAP = 0.1
"""Seconds after which one that waits looks whether it is still wanted."""


class Turns:
    """Of one fleet in one process. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(
        self, operation: Operation, parallel: int | None = None, *, awaited: str | None = None
    ) -> Iterator[None]:
        """Waits while so many go on, and says then what is `awaited`; unless more at once than that were
        asked for: they are counted all the same. Cancelled with the operation."""
        waits = parallel is None or parallel <= self._most
        with self._changed:
            if awaited and waits and self._taken >= self._most:
                operation.step(awaited)
            while waits and self._taken >= self._most:
                operation.check()
                self._changed.wait(_NAP)
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()
