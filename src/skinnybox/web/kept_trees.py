"""What machines made their own, as it was when somebody looked last: to read an overlay takes a copy of it
where the machine runs, and its folders are opened one after the other."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from starlette.requests import HTTPConnection

from skinnybox.fleet.present_changes import Sums
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.gate.readings import reading
from skinnybox.web.abouts import About, abouts, counted
from skinnybox.web.tree import Tree, tree_of

KEPT = 8
"""Machines whose trees are kept; the one looked at longest ago makes room."""
LASTS = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    taken: datetime
    state: str
    tree: Tree
    about: tuple[About, ...] = ()


class KeptTrees:
    """Of one server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Look] = OrderedDict()

    def kept(self, machine: MachineView) -> Look | None:
        """The last one, unless the machine was started, stopped or reset since."""
        with self._lock:
            found = self._kept.get(str(machine.instance.uuid))
        fresh = found is not None and datetime.now(UTC) - found.taken < LASTS
        return found if fresh and found is not None and found.state == _state(machine) else None

    def look(self, fleet: Fleet, machine: MachineView) -> Look:
        """Read it now. Busy when too many are being read; raises as Overlays.changes does."""
        with reading(machine.instance.uuid):
            taken = datetime.now(UTC)
            with fleet.deltas.look(machine.name) as found:
                sums = Sums()
                tree = tree_of(counted(found.changes, sums))
                about = tuple(abouts(found.facts, sums))
                look = Look(taken=taken, state=_state(machine), tree=tree, about=about)
        with self._lock:
            self._kept[str(machine.instance.uuid)] = look
            self._kept.move_to_end(str(machine.instance.uuid))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return look


def kept_trees(connection: HTTPConnection) -> KeptTrees:
    state = connection.app.state
    with _MAKING:
        if not hasattr(state, "kept_trees"):
            state.kept_trees = KeptTrees()
    return cast(KeptTrees, state.kept_trees)


_MAKING = threading.Lock()


def _state(machine: MachineView) -> str:
    nonce = machine.status.nonce if machine.status and machine.status.pid else None
    return f"{machine.instance.seed.generation} {machine.instance.stack.master} {nonce}"
