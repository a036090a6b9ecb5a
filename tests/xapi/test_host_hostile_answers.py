"""Answers of a pool that nobody waits for: late, cut off, of something that is gone, or of somebody else."""

import contextlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Conflict, Corrupt, SkinnyboxError
from skinnybox.hosts.xapi import tags, tasks, transfer
from skinnybox.hosts.xapi.address import Address
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.session import Lost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool
from tests.xapi.furnished import host_on, machine, may_format, vm_of

pytestmark = pytest.mark.image


def ordered(pool: EmulatedPool, instance: Instance) -> bool:
    return may_format(machine(pool, instance)["xenstore_data"], instance)


def test_a_report_of_an_earlier_start_takes_no_order_back(
    pool: EmulatedPool, host: XapiHost, running: Instance
) -> None:
    """The guest that it is meant for has yet to read it."""
    vm, started = vm_of(pool, running), machine(pool, running)["other_config"][tags.START]
    for now, still in (("0" * 32, True), (started, False)):
        with pool.database() as database:
            database.put("VM", vm, "other_config", tags.START, now)
        host._pool.things.refresh(anew=True)
        assert host.reports([running.uuid])[running.uuid].ready
        assert ordered(pool, running) == still


def test_what_others_write_meanwhile_stays(pool: EmulatedPool, host: XapiHost, running: Instance) -> None:
    """Between our look and the call that takes the order back."""
    vm = vm_of(pool, running)
    host.statuses()
    with pool.database() as database:
        database.put("VM", vm, "xenstore_data", "vm-data/theirs", "new")
    host.reports([running.uuid])
    assert not ordered(pool, running)
    assert machine(pool, running)["xenstore_data"]["vm-data/theirs"] == "new"


def test_who_may_only_look_sees_reports(
    pool: EmulatedPool, host: XapiHost, running: Instance, tmp_path: Path
) -> None:
    pool.add_user("guard", "emulated", "read-only")
    guard = host_on(pool, tmp_path / "state", user="guard")
    assert guard.reports([running.uuid])[running.uuid].ready and ordered(pool, running)
    guard.close()


def test_a_task_that_is_gone_is_not_awaited_for_ever(
    pool: EmulatedPool, host: XapiHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all are, once a pool has another master."""
    monkeypatch.setattr(tasks, "EVENTS_AT_ONCE", 0.1)
    task = host._pool.call("task.create", "ours", "")
    with pool.database() as database:
        database.destroy("task", task)
    with pytest.raises(SkinnyboxError, match="gone"):
        tasks.wait(host._pool.sessions, task)


def test_a_download_that_breaks_off_without_a_word(
    host: XapiHost, running: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host that sent it died, and its task goes on for ever."""

    @contextlib.contextmanager
    def broken_off(*_: object) -> Iterator[tuple[None, io.BytesIO]]:
        yield None, io.BytesIO(b"x" * 5000)

    host.power_off(running)
    monkeypatch.setattr(transfer, "_asked", broken_off)
    monkeypatch.setattr(transfer, "_LAST_WORD", 0.2)
    with pytest.raises(Corrupt, match="5000"), host.open_overlay(running, Operation()):
        pass


def test_a_machine_vanishes_while_its_events_are_written(
    pool: EmulatedPool, running: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread looked and waits for the journal, and another sees that it is gone."""
    late = host_on(pool, tmp_path / "state")
    write = late._events._write

    def later(*args: Any) -> None:
        with pool.session() as api:
            api.VM.hard_shutdown(vm_of(pool, running))
            api.VM.set_blocked_operations(vm_of(pool, running), {})
            api.VM.destroy(vm_of(pool, running))
        late._pool.things.refresh(anew=True)
        write(*args)

    monkeypatch.setattr(late._events, "_write", later)
    assert late.statuses() == {}
    late.close()


def test_a_change_of_what_is_gone_by_now(
    host: XapiHost, running: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool has no record to send with the event."""
    sessions = host._pool.sessions
    original = sessions.call

    def call(method: str, *params: Any) -> Any:
        answer = original(method, *params)
        if method == "event.from":
            answer["events"].append({"class": "vm", "operation": "mod", "ref": "OpaqueRef:gone"})
        return answer

    monkeypatch.setattr(sessions, "call", call)
    host._pool.things.refresh(anew=True)
    assert list(host.statuses()) == [running.uuid]


def test_a_suspended_machine_says_what_to_do(pool: EmulatedPool, host: XapiHost, running: Instance) -> None:
    vm = vm_of(pool, running)
    with pool.database() as database:
        database.update("VM", vm, power_state="Suspended", domid=-1)
    with pytest.raises(Conflict, match="suspended") as caught:
        host.delete(running)
    assert caught.value.hint and "kill" in caught.value.hint


ANSWERS = {"a proxy's page": b"<html>Bad gateway</html>", "nothing": b"", "noise": b"\xff\xfe\0\1",
           "half": b"<?xml version='1.0'?><methodResponse><params><param><value><struct>"}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_is_none(tmp_path: Path, answer: str) -> None:
    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWERS[answer])))
            self.end_headers()
            self.wfile.write(ANSWERS[answer])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = Address(user="root", url=f"http://127.0.0.1:{server.server_port}", timeout=5.0)
        host = XapiHost(address, tmp_path, secret=lambda: "any", patience=1.0)
        with pytest.raises(Lost):
            host.statuses()
        server.shutdown()


def test_it_is_closed_while_a_thread_waits(
    pool: EmulatedPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C: their connections go under the hands of those who still wait."""
    host = host_on(pool, tmp_path)
    host.statuses()

    def cut(*_: object) -> None:
        host.close()
        raise ConnectionResetError

    monkeypatch.setattr(host._pool.sessions, "_sent", cut)
    with pytest.raises(Lost):
        host._pool.things.refresh(anew=True)
