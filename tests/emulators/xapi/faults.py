"""What goes wrong, on order: each fault is armed by a test and met by the n-th matching call from then on.

Names are those of calls without `Async.` (fnmatch patterns: `VM.*`, `*`), or import_raw_vdi, export_raw_vdi.
Mind that Python's xmlrpc.client sends a call again, once, when its connection is cut without an answer.
"""

import fnmatch
import threading
from dataclasses import dataclass, field

from tests.emulators.xapi.failure import Dropped, Failure


@dataclass(slots=True, kw_only=True)
class Fault:
    """Met by `times` matching calls, the first of them the `at`-th."""

    name: str
    kind: str
    at: int = 1
    times: int = 1
    details: tuple[str, ...] = ()
    seconds: float = 0.0
    seen: int = 0
    met: int = 0

    def meets(self, name: str) -> bool:
        if not fnmatch.fnmatchcase(name, self.name):
            return False
        self.seen += 1
        hit = self.at <= self.seen < self.at + self.times
        self.met += hit
        return hit


@dataclass(slots=True)
class Faults:
    armed: list[Fault] = field(default_factory=list)
    room: dict[str, int] = field(default_factory=dict)
    """SR reference -> bytes that may still be taken there, whatever its size."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def busy(self, name: str, *, at: int = 1, times: int = 1) -> Fault:
        """OTHER_OPERATION_IN_PROGRESS, without effect; the object is the call's own."""
        return self._arm(Fault(name=name, kind="busy", at=at, times=times))

    def fail(self, name: str, code: str, *params: str, at: int = 1, times: int = 1) -> Fault:
        """Any error, without effect; of an Async call the task fails."""
        return self._arm(Fault(name=name, kind="fail", at=at, times=times, details=(code, *params)))

    def fail_after(self, name: str, code: str, *params: str, at: int = 1, times: int = 1) -> Fault:
        """The same after the effect."""
        return self._arm(Fault(name=name, kind="fail_after", at=at, times=times, details=(code, *params)))

    def slow(self, name: str, seconds: float, *, at: int = 1, times: int = 1 << 30) -> Fault:
        """The work takes so long, its task's progress rising; task.cancel ends it. Of an import: each MiB."""
        return self._arm(Fault(name=name, kind="slow", at=at, times=times, seconds=seconds))

    def drop_before(self, name: str, *, at: int = 1, times: int = 1) -> Fault:
        """The connection is cut and nothing happened. Of an import: after a first piece was written."""
        return self._arm(Fault(name=name, kind="drop_before", at=at, times=times))

    def drop_after(self, name: str, *, at: int = 1, times: int = 1) -> Fault:
        """It happened (an Async task goes on), but the connection is cut before the answer."""
        return self._arm(Fault(name=name, kind="drop_after", at=at, times=times))

    def expire_session(self, name: str = "*", *, at: int = 1) -> Fault:
        """The caller's session is gone when this call comes."""
        return self._arm(Fault(name=name, kind="expire", at=at))

    def fill(self, sr: str, room: int) -> None:
        """The SR (a reference) takes `room` more bytes, then it is full."""
        with self.lock:
            self.room[sr] = room

    def clear(self) -> None:
        with self.lock:
            self.armed.clear()
            self.room.clear()

    def _arm(self, fault: Fault) -> Fault:
        with self.lock:
            self.armed.append(fault)
        return fault

    def meeting(self, name: str) -> "Meeting":
        """All armed faults that this call meets; every matching one counts it. Asked once for each call."""
        with self.lock:
            return Meeting([fault for fault in self.armed if fault.meets(name)])


@dataclass(slots=True)
class Meeting:
    """The faults one call meets."""

    faults: list[Fault]

    def of(self, kind: str) -> Fault | None:
        return next((fault for fault in self.faults if fault.kind == kind), None)

    @property
    def seconds(self) -> float:
        found = self.of("slow")
        return found.seconds if found else 0.0

    def before(self, of: str, ref: str) -> None:
        """What stops the work before it began; `of` and `ref` say what it would have worked on."""
        if self.of("busy"):
            raise Failure("OTHER_OPERATION_IN_PROGRESS", of, ref, "fault", "OpaqueRef:fault")
        self._raise("fail")

    def after(self) -> None:
        self._raise("fail_after")

    def drop(self, moment: str) -> None:
        """`moment` is before or after."""
        if self.of(f"drop_{moment}"):
            raise Dropped

    def _raise(self, kind: str) -> None:
        found = self.of(kind)
        if found:
            raise Failure(*found.details)
