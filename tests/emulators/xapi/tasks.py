"""Tasks: one for each Async call, and those a client makes for an upload."""

import datetime
from typing import Any

from tests.emulators.xapi import wire
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.model import Message

ENDED = {"success", "failure", "cancelled"}


def begin(xapi: Xapi, name: str, session: str, description: str = "") -> str:
    values: dict[str, Any] = {
        "name_label": name,
        "name_description": description,
        "created": datetime.datetime.now(datetime.UTC),
        "status": "pending",
        "resident_on": xapi.master,
        "type": "<none/>",
        "allowed_operations": ["cancel"],
    }
    task = xapi.database.create("task", values)
    xapi.owners[task] = session
    return task


def succeed(xapi: Xapi, task: str, message: Message | None, value: Any) -> None:
    """`value` is the call's result; None (and no message) for a void one."""
    kind = message.result if message else None
    plain = wire.plain(xapi.model, kind, value, xml=True) if kind else ""
    _end(xapi, task, status="success", result=wire.xml_value(plain), progress=1.0)


def fail(xapi: Xapi, task: str, failure: Failure) -> None:
    status = "cancelled" if failure.code == "TASK_CANCELLED" else "failure"
    _end(xapi, task, status=status, error_info=failure.details)


def _end(xapi: Xapi, task: str, **values: Any) -> None:
    database = xapi.database
    if not database.valid("task", task) or database.get("task", task, "status") in ENDED:
        return
    destroyed = "destroy" in database.get("task", task, "current_operations").values()
    finished = datetime.datetime.now(datetime.UTC)
    database.update("task", task, finished=finished, allowed_operations=[], current_operations={}, **values)
    if destroyed:
        database.destroy("task", task)


@implements("task.create")
def create(call: Call, label: str, description: str) -> str:
    return begin(call.xapi, label, call.session, description)


@implements("task.destroy")
def destroy(call: Call, task: str) -> None:
    """A task that is not done goes when it is."""
    if call.database.get("task", task, "status") in ENDED:
        call.database.destroy("task", task)
    else:
        call.database.put("task", task, "current_operations", call.operation_id, "destroy")


@implements("task.cancel")
def cancel(call: Call, task: str) -> None:
    """Only asks: what runs stops at its next look."""
    if call.database.get("task", task, "status") in ENDED:
        raise Failure("OPERATION_NOT_ALLOWED", "task is not cancellable")
    call.database.put("task", task, "current_operations", call.operation_id, "cancel")


@implements("task.set_status")
def set_status(call: Call, task: str, value: str) -> None:
    if call.xapi.owners.get(task) != call.session and not call.xapi.sessions[call.session].user.superuser:
        raise Failure("RBAC_PERMISSION_DENIED", "task.set_status/any", "not a task of this session")
    call.database.set("task", task, "status", value)
