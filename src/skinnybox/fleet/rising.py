"""How many machines are on their way up at once, whoever asked for them.

One command keeps to that by itself: it has no more threads. A server has several jobs, each with as many; so
each machine takes a turn as well, which is the fleet's.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from skinnybox.operation import Operation

_NAP = 0.1
"""Seconds after which one that waits looks whether it is still wanted."""


class Rising:
    """Of one fleet in one process. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most, self._up = most, 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, operation: Operation, parallel: int | None) -> Iterator[None]:
        """For as long as the machine needs until it is ready. Waits while so many are on their way, unless
        more at once than that were asked for: they are counted all the same. Cancelled with the operation."""
        waits = parallel is None or parallel <= self._most
        with self._changed:
            while waits and self._up >= self._most:
                operation.check()
                self._changed.wait(_NAP)
            self._up += 1
        try:
            yield
        finally:
            with self._changed:
                self._up -= 1
                self._changed.notify()
