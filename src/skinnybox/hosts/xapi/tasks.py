"""Calls that take long: begun as a task of the pool, awaited by its events, and the task removed."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skinnybox.errors import NotFound, SkinnyboxError
from skinnybox.hosts.xapi.errors import Busy, translated
from skinnybox.hosts.xapi.session import EVENTS_AT_ONCE, Sessions
from skinnybox.operation import Operation

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


def begin(sessions: Sessions, method: str, *params: Any) -> None:
    """Do not wait for the end; the task goes when it has ended."""
    task = sessions.call(f"Async.{method}", *params)
    with contextlib.suppress(SkinnyboxError):
        sessions.call("task.destroy", task)


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
            if record["status"] not in ("pending", "cancelling"):
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
    raise translated(record["error_info"] or ["TASK_CANCELLED", record["uuid"]])
