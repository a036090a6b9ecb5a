"""Calls that take long: begun as a task of the pool, awaited by its events, and the task removed."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from skinnybox.errors import NotFound, SkinnyboxError
from skinnybox.hosts.xapi.errors import Busy, translated
from skinnybox.hosts.xapi.session import EVENTS_AT_ONCE, Sessions
from skinnybox.operation import Operation

_GOES_ON = ("pending", "cancelling")
Share = Callable[[float], None]
"""Is told how much is done, 0 to 1."""


def quiet(share: float) -> None:
    """The Share of who does not want any."""


def shared(operation: Operation, task: str, size: int) -> Share:
    """Tells it as bytes of `size`."""
    return lambda share: operation.step(task=task, done=int(share * size), total=size, unit="bytes")


def run(sessions: Sessions, method: str, *params: Any, share: Share = quiet) -> str:
    """The result as a reference, or "". A task that is left early (by Ctrl-C as well) is cancelled."""
    deadline, pause = time.monotonic() + sessions.patience, 0.1
    while True:
        try:
            with made(sessions, sessions.call(f"Async.{method}", *params)) as task:
                return wait(sessions, task, share)
        except Busy:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


@dataclass(slots=True, kw_only=True)
class _Order:
    """A call that was begun, its first parameter a machine; looked at at `due`, then `pause` s later."""

    method: str
    params: tuple[Any, ...]
    until: float
    task: str = ""
    pause: float = 0.5
    due: float = 0.0


class Begun:
    """Calls that nobody waits for, such as a shutdown that a guest is only asked for. What the pool refuses
    of the last one that a thread began is told to that thread, when it looks, unless the machine went off all
    the same: of earlier ones it wants to know nothing any more. What is busy is begun anew."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._own = threading.local()
        self._tasks: set[str] = set()

    def begin(self, method: str, *params: Any) -> None:
        until = time.monotonic() + self._sessions.patience
        self._own.order = self._begun(_Order(method=method, params=params, until=until))

    def look(self) -> None:
        """Raises what the pool refused of what this thread began. Asks for it less and less often."""
        order: _Order | None = getattr(self._own, "order", None)
        if order is None or time.monotonic() < order.due:
            return
        order.due, order.pause = time.monotonic() + order.pause, min(2 * order.pause, EVENTS_AT_ONCE)
        record = self._record(order.task)
        if record is None or record["status"] not in _GOES_ON:
            self._own.order = None
            self._ended(order, record)

    def close(self) -> None:
        """Their tasks go when they have ended."""
        while self._tasks:
            with contextlib.suppress(SkinnyboxError):
                self._sessions.call("task.destroy", self._tasks.pop())

    def _begun(self, order: _Order) -> _Order:
        order.task = self._sessions.call(f"Async.{order.method}", *order.params)
        self._tasks.add(order.task)
        return order

    def _record(self, task: str) -> dict[str, Any] | None:
        """None when a pool that has another master by now knows nothing of it."""
        with contextlib.suppress(NotFound):
            return dict(self._sessions.call("task.get_record", task))
        return None

    def _ended(self, order: _Order, record: dict[str, Any] | None) -> None:
        self._tasks.discard(order.task)
        if record is None:
            return
        with contextlib.suppress(SkinnyboxError):
            self._sessions.call("task.destroy", order.task)
        try:
            _result(record)
        except Busy:
            if time.monotonic() > order.until:
                raise
            self._own.order = self._begun(order)
        except SkinnyboxError:
            if self._is_on(order.params[0]):
                raise

    def _is_on(self, vm: str) -> bool:
        with contextlib.suppress(NotFound):
            return bool(self._sessions.call("VM.get_power_state", vm) != "Halted")
        return False


@contextmanager
def made(sessions: Sessions, task: str) -> Iterator[str]:
    """The task is gone after the block, and was cancelled when that failed."""
    try:
        yield task
    except BaseException:
        with contextlib.suppress(SkinnyboxError):
            sessions.call("task.cancel", task)
        raise
    finally:
        with contextlib.suppress(SkinnyboxError):
            sessions.call("task.destroy", task)


def wait(sessions: Sessions, task: str, share: Share = quiet) -> str:
    token = ""
    while True:
        news = sessions.call("event.from", [f"task/{task}"], token, EVENTS_AT_ONCE)
        token = news["token"]
        for record in _seen(sessions, task, news["events"]):
            share(float(record["progress"]))
            if record["status"] not in _GOES_ON:
                return _result(record)


def _seen(sessions: Sessions, task: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As it was at each event. Without any it is asked for: a pool that has another master by now knows
    nothing of it, and would be silent for ever."""
    try:
        if not events:
            return [sessions.call("task.get_record", task)]
        return [event["snapshot"] for event in events]
    except (NotFound, KeyError) as error:
        raise SkinnyboxError("the task is gone in the pool", hint="look what came of it") from error


def _result(record: dict[str, Any]) -> str:
    if record["status"] == "success":
        found = re.search(r"OpaqueRef:[0-9A-Za-z-]+", record["result"])
        return found[0] if found else ""
    if record["error_info"]:
        raise translated(record["error_info"])
    if record["status"] == "cancelled":
        raise translated(["TASK_CANCELLED", record["uuid"]])
    raise SkinnyboxError(f"{record['name_label']} failed, and the pool does not say why", hint="see its logs")
