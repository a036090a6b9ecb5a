"""All machines as they were a moment ago, for pages that many people keep open.

To look at all of them takes as long as there are many. So it is done once for all who ask within a second
or so, and not more often than that it takes a part of one processor. Whoever asks while nobody else does
waits for a look of their own; what a machine is before it is changed is never taken from here.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from starlette.requests import HTTPConnection

from skinnybox.errors import NotFound
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.gate import places
from skinnybox.gate.principal import Principal
from skinnybox.gate.served import fleet_of
from skinnybox.sizes import GIB
from skinnybox.web.listing import in_order

T = TypeVar("T")
FRESH = 1.0
"""Seconds for which a look counts, at the least."""
STALE = 4.0
"""Seconds for which it is told after that, while somebody is looking anew."""
_JOBS = 60
_SHARE = 4
"""A look that takes long counts for so many times as long."""


class Looking(Generic[T]):
    """Of one server, at one thing. Thread-safe."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._found: T | None = None
        self._at, self._cost = -1e9, 0.0

    def __call__(self) -> T:
        """Raises what the look does."""
        with self._lock:
            age, found = time.monotonic() - self._at, self._found
            counts = max(FRESH, self._cost * _SHARE)
        if found is not None and age < counts:
            return found
        if found is not None and age < counts + STALE:
            if self._turn.acquire(blocking=False):
                threading.Thread(target=self._in_the_background, name="look", daemon=True).start()
            return found
        with self._turn:
            return self._now(counts)

    def forget(self) -> None:
        """Something was changed: the next one waits for a look."""
        with self._lock:
            self._at = -1e9

    def _now(self, counts: float) -> T:
        """In whoever's turn it is: others, who waited for it, take what it found."""
        with self._lock:
            if self._found is not None and time.monotonic() - self._at < counts:
                return self._found
        return self._taken()

    def _in_the_background(self) -> None:
        """What goes wrong is told to whoever asks when this look counts no more."""
        try:
            self._taken()
        except Exception:
            self.forget()
        finally:
            self._turn.release()

    def _taken(self) -> T:
        begun = time.monotonic()
        found = self._look()
        with self._lock:
            self._found, self._at, self._cost = found, begun, time.monotonic() - begun
        return found


_MAKING = threading.Lock()


class Looks:
    """At all that one server's pages show of the whole: the machines, in the order of their names, the room
    there is, and the last jobs, the newest last."""

    def __init__(self, fleet: Fleet) -> None:
        self.machines = Looking(lambda: in_order(fleet.machines()))
        self.room = Looking(lambda: fleet.capacity(GIB))
        self.jobs = Looking(lambda: fleet.jobs.all(_JOBS))

    def forget(self) -> None:
        for each in (self.machines, self.room, self.jobs):
            each.forget()


def looks(connection: HTTPConnection) -> Looks:
    state = connection.app.state
    with _MAKING:
        if not hasattr(state, "looks_at_all"):
            state.looks_at_all = Looks(fleet_of(connection))
    return cast(Looks, state.looks_at_all)


def machine(connection: HTTPConnection, who: Principal, name: str) -> MachineView:
    """One of them. NotFound."""
    for each in machines(connection, who):
        if each.name == name:
            return each
    raise NotFound(f"there is no machine {name!r:.80}")


def machines(connection: HTTPConnection, who: Principal) -> list[MachineView]:
    """Those that they reach, in the order of their names."""
    found = [places.machine(who, each) for each in looks(connection).machines()]
    return found if who.fleet is None else [each for each in found if each.instance.fleet == who.fleet]
