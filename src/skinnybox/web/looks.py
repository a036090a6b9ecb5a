"""What machines made their own, as it was when somebody looked last: to read an overlay takes a copy of it
where the machine runs, and its folders are opened one after the other."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from starlette.requests import HTTPConnection

from skinnybox.errors import Conflict
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.web.tree import Tree, tree_of

KEPT = 8
"""Machines whose trees are kept; the one looked at longest ago makes room."""
LASTS = timedelta(minutes=15)
_AT_ONCE = 2
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    taken: datetime
    state: str
    tree: Tree


class Looks:
    """Of one server. Thread-safe."""

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), threading.Semaphore(_AT_ONCE)
        self._kept: OrderedDict[str, Look] = OrderedDict()

    def kept(self, machine: MachineView) -> Look | None:
        """The last one, unless the machine was started, stopped or reset since."""
        with self._lock:
            found = self._kept.get(str(machine.instance.uuid))
        fresh = found is not None and datetime.now(UTC) - found.taken < LASTS
        return found if fresh and found is not None and found.state == _state(machine) else None

    def look(self, fleet: Fleet, machine: MachineView) -> Look:
        """Read it now. Conflict when too many are being read; raises as Overlays.changes does."""
        with self.reading():
            taken = datetime.now(UTC)
            with fleet.overlays.changes(machine.name) as found:
                look = Look(taken=taken, state=_state(machine), tree=tree_of(found))
        with self._lock:
            self._kept[str(machine.instance.uuid)] = look
            self._kept.move_to_end(str(machine.instance.uuid))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return look

    def reading(self) -> "_Reading":
        return _Reading(self._readers)


class _Reading:
    """So many at once; Conflict for who would wait longer than anybody looks at a page."""

    def __init__(self, readers: threading.Semaphore) -> None:
        self._readers = readers

    def __enter__(self) -> None:
        if not self._readers.acquire(timeout=_PATIENCE):
            raise Conflict(f"{_AT_ONCE} overlays are being read already", hint="ask again in a minute")

    def __exit__(self, *_: object) -> None:
        self._readers.release()


def looks_of(connection: HTTPConnection) -> Looks:
    state = connection.app.state
    with _MAKING:
        if not hasattr(state, "looks"):
            state.looks = Looks()
    return cast(Looks, state.looks)


_MAKING = threading.Lock()


def _state(machine: MachineView) -> str:
    nonce = machine.status.nonce if machine.status and machine.status.pid else None
    return f"{machine.instance.seed.generation} {machine.instance.stack.master} {nonce}"
