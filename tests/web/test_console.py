"""The console's WebSocket: who may open it, and what comes through."""

import time

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from skinnybox.fleet.tokens import Role
from skinnybox.web import console as pages
from tests.web.conftest import BASE, SMALL, Console

ADDRESS = "wss://localhost/machines/a/console/socket"


@pytest.fixture
def running(console: Console) -> Console:
    console.fleet.create(["a"], "tiny", SMALL)
    console.fleet.start(["a"])
    return console


def refused(client: TestClient, **headers: str) -> bool:
    try:
        with client.websocket_connect(ADDRESS, headers=headers) as line:
            line.receive()
    except WebSocketDisconnect:
        return True
    return False


def test_what_is_typed_comes_back_and_what_was_printed_comes_first(running: Console) -> None:
    client = running.browser(Role.OPERATOR)
    with client.websocket_connect(ADDRESS) as line:
        assert line.receive_bytes() == b"pretended guest ready\r\n"
        line.send_bytes(b"hello")
        assert line.receive_bytes() == b"hello"
        line.send_bytes(b"a\x1b]52;c;cm0=\x07b")  # the fake guest echoes: so says a hostile one
        assert line.receive_bytes() == b"ab"


def test_a_second_one_looks_on(running: Console) -> None:
    client = running.browser(Role.OPERATOR)
    with client.websocket_connect(ADDRESS) as one, client.websocket_connect(ADDRESS) as other:
        one.receive_bytes(), other.receive_bytes()
        other.send_bytes(b"x")
        assert other.receive_bytes() == b"x"


def test_only_who_may_change_machines_and_comes_from_a_page_of_ours(running: Console) -> None:
    assert refused(running.browser(None), origin=BASE)
    assert refused(running.browser(Role.VIEWER), origin=BASE)
    assert refused(running.browser(Role.OPERATOR, fleet="another"), origin=BASE)
    assert refused(running.browser(Role.OPERATOR), origin="https://evil.example")
    assert not refused(running.browser(Role.OPERATOR), origin=BASE)


def test_of_a_machine_that_is_off_it_is_told_why(console: Console) -> None:
    console.fleet.create(["a"], "tiny", SMALL)
    with console.browser(Role.OPERATOR).websocket_connect(ADDRESS) as line:
        assert "is off" in line.receive_text()
        with pytest.raises(WebSocketDisconnect):
            line.receive_bytes()


def test_too_much_at_once_ends_it(running: Console) -> None:
    with running.browser(Role.OPERATOR).websocket_connect(ADDRESS) as line:
        line.receive_bytes()
        line.send_bytes(bytes(5000))
        with pytest.raises(WebSocketDisconnect) as ended:
            line.receive_bytes()
    assert ended.value.code == 1009


def test_a_token_that_is_revoked_ends_what_it_opened(
    running: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_LOOK_AGAIN", 0.05)
    with running.browser(Role.OPERATOR).websocket_connect(ADDRESS) as line:
        line.receive_bytes()
        [token] = running.fleet.tokens.all()
        running.fleet.tokens.revoke(token.id)
        deadline = time.monotonic() + 10
        with pytest.raises(WebSocketDisconnect):
            while time.monotonic() < deadline:
                line.receive_bytes()


def test_who_opened_it_is_written_down(running: Console) -> None:
    client = running.browser(Role.OPERATOR)
    with client.websocket_connect(ADDRESS) as line:
        line.receive_bytes()
    job = running.fleet.jobs.all()[-1]
    assert (job.verb, job.subjects, job.actor, job.condition) == ("console", ("a",), "a operator", "done")
    client.get("/machines/a/console")
    with running.fleet.listen("a"):
        pass
    assert running.fleet.jobs.all()[-1] == job  # to read what was printed is no change


def test_a_viewer_reads_no_log(running: Console) -> None:
    assert running.browser(Role.VIEWER).get("/machines/a/console").status_code == 403
    shown = running.browser(Role.OPERATOR).get("/machines/a/console")
    assert shown.status_code == 200 and "pretended guest ready" in shown.text
