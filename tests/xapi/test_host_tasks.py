"""What a pool says late of what was only begun: told to who asked for it, and to nobody else."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NoSpace, SkinnyboxError, TimedOut, Unsupported
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.xapi import tasks, transfer
from skinnybox.hosts.xapi.host import XapiHost
from tests.emulators.xapi import EmulatedPool
from tests.emulators.xapi import tasks as emulated
from tests.emulators.xapi.failure import Failure
from tests.xapi.furnished import FULL, SMALL, all_of, at_work, host_on

pytestmark = pytest.mark.image
GUEST = at_work
SECONDS = 120.0
WAIT = Stopping(timeout=SECONDS)


@pytest.fixture
def no_task_stays(pool: EmulatedPool) -> Iterator[None]:
    """Once the fleet is closed: asked for before that, so that it ends after it."""
    yield
    assert all_of(pool, "task") == []


@pytest.fixture
def fleet(no_task_stays: None, fleet: Fleet) -> Fleet:
    """Two machines that are ready, `web` and `db`."""
    fleet.create(["web", "db"], "tiny", SMALL)
    assert [outcome.error for outcome in fleet.start(["*"])] == [None, None]
    return fleet


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("VM_LACKS_FEATURE", Unsupported),
        ("VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT", TimedOut),
        ("INTERNAL_ERROR", SkinnyboxError),
    ],
)
def test_a_shutdown_that_the_pool_cannot_ask_for(
    pool: EmulatedPool, fleet: Fleet, code: str, kind: type[SkinnyboxError]
) -> None:
    pool.faults.fail("VM.clean_shutdown", code, "OpaqueRef:web")
    began = time.monotonic()
    outcomes = fleet.stop(["*"], WAIT)
    assert time.monotonic() - began < SECONDS / 2
    errors = [outcome.error for outcome in outcomes if outcome.error]
    assert len(errors) == 1 and isinstance(errors[0], kind), "of the one that it was said of"
    assert "did not power off within" not in errors[0].message
    assert sorted(machine.condition for machine in fleet.machines()) == [Condition.READY, Condition.STOPPED]


def test_the_plug_is_pulled_then(pool: EmulatedPool, fleet: Fleet) -> None:
    pool.faults.fail("VM.clean_shutdown", "VM_LACKS_FEATURE", "OpaqueRef:web")
    began = time.monotonic()
    outcomes = fleet.stop(["web"], Stopping(timeout=SECONDS, then_kill=True))
    assert [outcome.error for outcome in outcomes] == [None] and time.monotonic() - began < SECONDS / 2
    assert fleet.machine("web").condition is Condition.STOPPED


def test_what_is_busy_is_asked_again(pool: EmulatedPool, fleet: Fleet) -> None:
    fault = pool.faults.busy("VM.clean_shutdown")
    assert [outcome.error for outcome in fleet.stop(["web"], WAIT)] == [None]
    assert (fault.met, fault.seen) == (1, 2)


def test_who_went_off_meanwhile_has_stopped(pool: EmulatedPool, fleet: Fleet) -> None:
    """The call came too late."""
    pool.faults.fail_after("VM.clean_shutdown", "VM_BAD_POWER_STATE", "OpaqueRef:web", "running", "halted")
    assert [outcome.error for outcome in fleet.stop(["web"], WAIT)] == [None]


def test_what_was_said_of_another_machine_is_not_told(pool: EmulatedPool, fleet: Fleet) -> None:
    """One thread stops one after the other."""
    host = fleet._host
    assert isinstance(host, XapiHost)
    pool.faults.fail("VM.clean_shutdown", "VM_LACKS_FEATURE", "OpaqueRef:web")
    host.shutdown(fleet.machine("web").instance)
    host.shutdown(fleet.machine("db").instance)
    for _ in range(4):
        host.wait_change(0.3)
    pool.faults.fail_after("VM.clean_shutdown", "VM_BAD_POWER_STATE", "OpaqueRef:web", "running", "halted")
    host.shutdown(fleet.machine("web").instance)
    for _ in range(4):
        host.wait_change(0.3)
    assert {machine.condition for machine in fleet.machines()} == {Condition.STOPPED}


def test_a_restart_that_is_refused(pool: EmulatedPool, fleet: Fleet) -> None:
    host = fleet._host
    assert isinstance(host, XapiHost)
    pool.faults.fail("VM.clean_reboot", "VM_LACKS_FEATURE", "OpaqueRef:web")
    host.reboot(fleet.machine("web").instance)
    with pytest.raises(Unsupported):
        for _ in range(20):
            host.wait_change(0.5)
    host.wait_change(0.1)


def test_a_task_that_failed_is_not_told_as_cancelled() -> None:
    record = {
        "status": "failure",
        "error_info": [],
        "name_label": "Async.VM.start",
        "uuid": "u",
        "result": "",
    }
    with pytest.raises(SkinnyboxError, match="does not say why"):
        tasks._result(record)
    with pytest.raises(Conflict, match="cancelled"):
        tasks._result({**record, "status": "cancelled"})


def test_why_a_transfer_broke(pool: EmulatedPool, tmp_path: Path) -> None:
    """The connection is cut first; that the SR was full stands in the task a moment later."""
    with closing(host_on(pool, tmp_path / "other")) as host:
        sessions = host._pool.sessions
        task = sessions.call("task.create", "an upload", "")

        def full() -> None:
            with pool.database():
                emulated.fail(pool.xapi, task, Failure(*FULL))

        later = threading.Timer(0.5, full)
        later.start()
        try:
            with pytest.raises(NoSpace):
                transfer._told_by(sessions, task, ConnectionResetError())
        finally:
            later.join()
