"""Faults on order, and the log that counts calls."""

import time
from collections.abc import Callable

import pytest
import XenAPI

from tests.xapi.conftest import Place

Refused = Callable[..., list[str]]


def ended(place: Place, task: str) -> str:
    while (status := place.api.task.get_status(task)) == "pending":
        time.sleep(0.01)
    return str(status)


def test_busy_for_a_while(place: Place, refused: Refused) -> None:
    vm = place.machine()
    fault = place.pool.faults.busy("VM.start", times=2)
    for _ in range(2):
        assert refused(place.api.VM.start, vm, False, False)[:3] == ["OTHER_OPERATION_IN_PROGRESS", "VM", vm]
    place.api.VM.start(vm, False, False)
    assert fault.met == 2


def test_any_error_at_the_nth_call(place: Place, refused: Refused) -> None:
    place.pool.faults.fail("VDI.*", "SR_BACKEND_FAILURE_46", "", "gone", "", at=2)
    first = place.disk()
    assert refused(place.api.VDI.destroy, first) == ["SR_BACKEND_FAILURE_46", "", "gone", ""]
    place.api.VDI.destroy(first)
    place.pool.faults.fail_after("VM.clone", "INTERNAL_ERROR", "x")
    assert refused(place.api.VM.clone, place.template, "half") == ["INTERNAL_ERROR", "x"]
    assert place.api.VM.get_by_name_label("half")


def test_a_task_fails_too(place: Place) -> None:
    place.pool.faults.fail("VM.clone", "NO_HOSTS_AVAILABLE")
    task = place.api.Async.VM.clone(place.template, "web")
    assert ended(place, task) == "failure"
    assert place.api.task.get_error_info(task) == ["NO_HOSTS_AVAILABLE"]


def test_slow_tasks_progress_and_can_be_cancelled(place: Place, refused: Refused) -> None:
    vm = place.machine()
    place.pool.faults.slow("VM.start", 20.0)
    task = place.api.Async.VM.start(vm, False, False)
    while place.api.VM.get_current_operations(vm) == {}:
        time.sleep(0.01)
    assert refused(place.api.VM.destroy, vm)[:3] == ["OTHER_OPERATION_IN_PROGRESS", "VM", vm]
    place.api.task.cancel(task)
    assert ended(place, task) == "cancelled"
    assert place.api.task.get_error_info(task) == ["TASK_CANCELLED", task]
    record = place.api.VM.get_record(vm)
    assert record["power_state"] == "Halted" and record["current_operations"] == {}


def test_cut_connections(place: Place) -> None:
    """The SDK's transport sends a call again, once, when it is cut: so twice for it to notice."""
    place.pool.faults.drop_before("VM.clone", times=2)
    with pytest.raises(OSError):
        place.api.VM.clone(place.template, "before")
    assert not place.api.VM.get_by_name_label("before")
    place.pool.faults.drop_after("VM.clone", times=2)
    with pytest.raises(OSError):
        place.api.VM.clone(place.template, "after")
    assert len(place.api.VM.get_by_name_label("after")) == 2, "it was sent twice, and done twice"


def test_a_session_that_expires_at_the_nth_call(place: Place) -> None:
    place.pool.faults.expire_session("VM.*", at=2)
    place.api.VM.get_all()
    place.api.VM.get_all()
    assert place.pool.log.count("session.login_with_password") == 1, "the SDK logs in again by itself"
    session = XenAPI.Session(place.pool.url)
    session._session = "OpaqueRef:from-a-plugin"
    with pytest.raises(Exception, match="log in"):
        session.xenapi.VM.get_all()
    session("close")()


def test_the_log_counts(place: Place, refused: Refused) -> None:
    place.pool.log.clear()
    task = place.api.Async.VM.clone(place.template, "web")
    ended(place, task)
    refused(place.api.VM.start, place.template, False, False)
    log = place.pool.log
    assert log.tasks() == 1 and log.count("VM.*") == 2
    (entry,) = log.of("VM.start", originator="tests")
    assert (entry.failure, entry.params[0]) == ("VM_IS_TEMPLATE", place.template)
    assert log.methods("VM.clone") == ["Async.VM.clone"]
