"""Disks of machines are read for who looks on, a few at a time: each reading is a copy, and a process of its
own, and who asks for forty must not keep the others' requests waiting.

Nobody else may use a disk meanwhile. So what is done to a machine waits for those of this very server: who
opens the page of a machine, which reads its overlay, and presses a button there, would be told that somebody
uses it.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from skinnybox.gate import limits
from skinnybox.gate.problems import Refused
from skinnybox.operation import Operation

_WAIT = 5.0
_PATIENCE = 60.0
"""Seconds that something waits for a reading: one that takes longer is told as whoever else uses the disk."""
_turns = threading.BoundedSemaphore(limits.READINGS)
_changed = threading.Condition()
_read: Counter[UUID] = Counter()


class Busy(Refused):
    http_status = 503


@contextmanager
def reading(*machines: UUID) -> Iterator[None]:
    """Disks of these are read, if of any. Busy when it is nobody's turn to come for some seconds."""
    if not _turns.acquire(timeout=_WAIT):
        raise Busy("other disks are being read", hint="ask again in a moment", headers={"retry-after": "5"})
    with _changed:
        _read.update(machines)
    try:
        yield
    finally:
        _turns.release()
        with _changed:
            _read.subtract(machines)
            for each in machines:
                if not _read[each]:
                    del _read[each]
            _changed.notify_all()


def awaited(machines: Sequence[UUID], operation: Operation) -> None:
    """Returns when no disk of these is read here any more, or that takes too long. Cancelled."""
    deadline = time.monotonic() + _PATIENCE
    with _changed:
        while any(_read[each] > 0 for each in machines) and time.monotonic() < deadline:
            operation.check()
            _changed.wait(0.1)
