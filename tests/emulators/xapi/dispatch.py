"""From a request to its answer: the checks of every call in xapi's order, then the work, now or as a task."""

import threading
import traceback
from collections.abc import Callable
from typing import Any

from tests.emulators.xapi import checks, events, generic, sessions, tasks, wire
from tests.emulators.xapi.call_log import Entry
from tests.emulators.xapi.context import HANDLERS, Call, Xapi
from tests.emulators.xapi.failure import Dropped, Failure
from tests.emulators.xapi.faults import Meeting
from tests.emulators.xapi.kinds import NULL
from tests.emulators.xapi.model import Message
from tests.emulators.xapi.wire import Request

_NO_TASK = {"session", "task", "event"}
Spawn = Callable[[Callable[[], None]], None]


def answer(xapi: Xapi, host: str, request: Request, spawn: Spawn) -> bytes:
    """The response's bytes, or Dropped. `host` is a reference; `spawn` runs what outlives the request."""
    if request.method == "system.listMethods":
        return wire.answer(request, xapi.model.method_names())
    meeting = xapi.faults.meeting(request.method.removeprefix("Async."))
    entry = xapi.log.add(Entry(method=request.method, params=list(request.params)))
    meeting.drop("before")
    try:
        with xapi.changed:
            value = _answer(xapi, host, request, meeting, entry, spawn)
            response = wire.answer(request, value)
    except Failure as failure:
        entry.failure = failure.code
        response = wire.refusal(request, failure.details)
    except Dropped:
        raise
    except Exception as bug:
        response = wire.refusal(request, _bug(xapi, bug).details)
    finally:
        entry.ended = True
    with xapi.changed:
        xapi.changed.notify_all()
    meeting.drop("after")
    return response


def _answer(xapi: Xapi, host: str, request: Request, meeting: Meeting, entry: Entry, spawn: Spawn) -> Any:
    message = _message(xapi, request)
    is_xml = request.dialect == "xml"
    params = checks.parameters(xapi.model, message, request.params, xml=is_xml)
    entry.host = xapi.database.get("host", host, "name_label")
    if not message.in_session:
        return _login(xapi, host, message, params, meeting, entry)
    session_ref = params[0]
    entry.params = request.params[1:]
    if meeting.of("expire"):
        sessions.end(xapi, session_ref)
    session = sessions.check(xapi, host, session_ref)
    entry.originator = session.originator
    sessions.authorise(session, message)
    call = Call(xapi=xapi, name=message.full_name, session=session_ref, meeting=meeting)
    if not request.method.startswith("Async."):
        return _plain(xapi, message, run(call, message, params), is_xml)
    call.task = tasks.begin(xapi, request.method, session_ref)
    spawn(lambda: _in_background(call, message, params))
    return call.task


def _message(xapi: Xapi, request: Request) -> Message:
    name = request.method.removeprefix("Async.")
    message = xapi.model.message(name)
    if message is None:
        raise Failure("MESSAGE_METHOD_UNKNOWN", name)
    if message.state == "removed":
        raise Failure("MESSAGE_REMOVED")
    changes_field = message.implicit and message.name.startswith(("get_", "set_", "add_", "remove_"))
    if request.method.startswith("Async.") and (message.of in _NO_TASK or changes_field):
        raise Failure("INTERNAL_ERROR", f"No async mode for this operation (rpc: {name})")
    return message


def _login(xapi: Xapi, host: str, message: Message, params: list[Any], meeting: Meeting, entry: Entry) -> Any:
    """The only call outside a session that is modelled. The password does not reach the log."""
    if message.full_name != "session.login_with_password":
        raise Failure("NOT_IMPLEMENTED", message.full_name)
    entry.params = [params[0]]
    entry.originator = params[3] if len(params) > 3 else ""
    meeting.before("session", NULL)
    return sessions.login(xapi, host, params[0], params[1], entry.originator)


def run(call: Call, message: Message, params: list[Any]) -> Any:
    """The work itself, under the lock. `params` begin with the session."""
    checks.references(call.database, message, params)
    if message.name == "create" and message.implicit:
        checks.constructed(call.database, message.of, params[1])
    first = params[1] if len(params) > 1 and isinstance(params[1], str) else NULL
    call.meeting.before(message.of, first)
    if call.xapi.others:
        call.xapi.others(call)
    handler = HANDLERS.get(message.full_name)
    if handler is not None:
        value = handler(call, *params[1:])
    else:
        fallback = generic.handler(call, message)
        if fallback is None:
            raise Failure("NOT_IMPLEMENTED", message.full_name)
        value = fallback(*params[1:])
    call.meeting.after()
    return value


def _in_background(call: Call, message: Message, params: list[Any]) -> None:
    xapi = call.xapi
    with xapi.changed:
        try:
            value = run(call, message, params)
            tasks.succeed(xapi, call.task, message, value)
        except Failure as failure:
            tasks.fail(xapi, call.task, failure)
        except Dropped:
            pass  # the pool closes
        except Exception as bug:
            tasks.fail(xapi, call.task, _bug(xapi, bug))
        xapi.changed.notify_all()


def _bug(xapi: Xapi, error: Exception) -> Failure:
    """The emulator's own mistake: the test that made it happen fails when the pool closes."""
    xapi.bugs.append("".join(traceback.format_exception(error)))
    return Failure("INTERNAL_ERROR", repr(error))


def _plain(xapi: Xapi, message: Message, value: Any, is_xml: bool) -> Any:
    if message.full_name == "event.from":
        found = [events.plain(xapi, event, xml=is_xml) for event in value["events"]]
        return {**value, "events": found}
    if message.full_name == "event.next":
        return [events.plain(xapi, event, xml=is_xml) for event in value]
    return wire.plain(xapi.model, message.result, value, xml=is_xml)


class Threads:
    """Threads that outlive their request, joined when the pool closes."""

    def __init__(self) -> None:
        self._running: list[threading.Thread] = []
        self._lock = threading.Lock()

    def spawn(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="xapi-emulator-task")
        with self._lock:
            self._running = [each for each in self._running if each.is_alive()]
            self._running.append(thread)
            thread.start()

    def join(self) -> None:
        with self._lock:
            running = list(self._running)
        for thread in running:
            thread.join()
