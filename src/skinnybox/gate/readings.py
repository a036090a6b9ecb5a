"""Disks of machines are read for who looks on, a few at a time: each reading is a copy and a process of its
own, and who asks for forty must not keep the others' requests waiting."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from skinnybox.gate import limits
from skinnybox.gate.problems import Refused

_WAIT = 5.0
_turns = threading.BoundedSemaphore(limits.READINGS)


class Busy(Refused):
    http_status = 503


@contextmanager
def reading() -> Iterator[None]:
    """Busy when it is nobody's turn to come for some seconds."""
    if not _turns.acquire(timeout=_WAIT):
        raise Busy("other disks are being read", hint="ask again in a moment", headers={"retry-after": "5"})
    try:
        yield
    finally:
        _turns.release()
