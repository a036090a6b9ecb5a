"""What is refused before any route is looked at, and what every answer bears."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from skinnybox.fleet.service import Fleet
from skinnybox.gate import limits, rates
from skinnybox.gate.origin import UNIX_SOCKET
from skinnybox.gate.rates import Failures
from skinnybox.gate.served import Served
from skinnybox.serve.app import create_app
from tests.api.conftest import URL, Api

PROBLEM = "application/problem+json"
FORM = {"type", "title", "status", "detail", "hint"}


@pytest.fixture
def app(fleet: Fleet) -> FastAPI:
    """With routes that anybody may use, so that only the doors are tried."""
    app = create_app(Served(fleet=fleet, hosts=frozenset({"localhost", "[::1]", "vm.example"})))

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.post("/large")
    async def large(request: Request) -> int:
        return len(await request.body())

    @app.post("/typed")
    def typed(names: dict[str, list[str]]) -> int:
        return len(names)

    @app.get("/bug")
    def bug() -> None:
        raise KeyError("sk_aaaaaaaaaa_inside")

    @app.get("/full")
    def full() -> None:
        raise OSError(28, "No space left on device", "/somewhere")

    @app.websocket("/socket")
    async def socket(found: WebSocket) -> None:
        await found.accept()
        await found.send_text("in")
        await found.close()

    return app


@pytest.fixture
def open_door(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("localhost:8080", 200), ("LOCALHOST", 200), ("[::1]:80", 200),
        ("vm.example", 200), ("vm.example.", 200), ("evil.example", 421), ("localhost.evil.example", 421),
        ("127.0.0.1", 421), ("", 421), ("localhost@evil.example", 421), ("local\u00dfhost", 421),
    ],
)  # fmt: skip
def test_only_its_own_names_are_answered(open_door: TestClient, host: str, status: int) -> None:
    answer = open_door.post("/echo", headers=[(b"host", host.encode())])
    assert answer.status_code == status
    if status != 200:
        assert answer.headers["content-type"] == PROBLEM


def test_through_its_own_socket_no_name_matters(app: FastAPI) -> None:
    async def by_socket(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["state"] = {**scope.get("state", {}), "door": UNIX_SOCKET}
        await app(scope, receive, send)

    with TestClient(by_socket, base_url="http://skinnybox") as client:
        assert client.get("/api/v1/about").json()["name"] == "owner"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": URL}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:8080"}, 403),
        ({"origin": "http://localhost/x"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[localhost"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_a_page_of_another_origin_changes_nothing(
    open_door: TestClient, headers: dict[str, str], status: int
) -> None:
    assert open_door.post("/echo", headers=headers).status_code == status


def test_where_browsers_come_by_tls_a_plain_page_is_another_one(fleet: Fleet) -> None:
    with TestClient(create_app(Served(fleet=fleet, secure=True)), base_url=URL) as client:
        assert client.post("/api/v1/x", headers={"origin": "http://localhost"}).status_code == 403
        assert client.post("/api/v1/x", headers={"origin": "https://localhost"}).status_code == 404


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"host": "evil.example"}, {"cookie": "skinnybox=x"}]
)
def test_a_socket_of_another_origin_is_closed(open_door: TestClient, headers: dict[str, str]) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        open_door.websocket_connect("ws://localhost/socket", headers=headers),
    ):
        pass


@pytest.mark.parametrize("headers", [{}, {"origin": URL}, {"origin": URL, "cookie": "skinnybox=x"}])
def test_a_socket_of_ours_is_opened(open_door: TestClient, headers: dict[str, str]) -> None:
    with open_door.websocket_connect("ws://localhost/socket", headers=headers) as socket:
        assert socket.receive_text() == "in"


@pytest.mark.parametrize(
    "query", ["token=x", "Access_Token=x", "q=sk_abcdefghij_" + "A" * 43, "a=1&sk_abcdefghij_" + "A" * 43]
)
def test_no_token_stands_in_an_address(open_door: TestClient, query: str) -> None:
    answer = open_door.get(f"/api/v1/about?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert "A" * 43 not in answer.text


def test_a_body_is_counted_whatever_it_says_of_itself(open_door: TestClient) -> None:
    assert open_door.post("/echo", content=b"x" * limits.BODY).json() == limits.BODY
    too_much = open_door.post("/echo", content=b"x" * (limits.BODY + 1))
    streamed = open_door.post("/echo", content=(b"x" * 4096 for _ in range(limits.BODY // 4096 + 1)))
    for answer in (too_much, streamed):
        assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_that_nobody_reads_is_refused_in_the_same_form(open_door: TestClient) -> None:
    answer = open_door.request("GET", "/nowhere", content=b"x" * (limits.BODY + 1))
    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PATCH", "/api/v1/about", 405), ("GET", "/bug", 500), ("GET", "/full", 507)],
)
def test_everything_that_goes_wrong_has_one_form(
    open_door: TestClient, method: str, path: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = open_door.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.json().keys() >= FORM
    assert answer.json()["status"] == status
    assert "sk_aaaaaaaaaa_inside" not in answer.text
    assert ("KeyError" in caplog.text) == (path == "/bug")


def test_every_answer_bears_what_keeps_browsers_in_bounds(open_door: TestClient, admin: Api) -> None:
    for answer in (open_door.get("/nowhere"), open_door.get("/bug"), admin.ask("GET", "/about")):
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_who_is_wrong_too_often_waits_and_who_is_right_does_not(
    admin: Api, nobody: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Api(nobody.client, "sk_abcdefghij_" + "A" * 43)
    answers = [wrong.ask("GET", "/about") for _ in range(rates.MOST + 1)]
    assert [answer.status_code for answer in answers] == [401] * rates.MOST + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= rates.PACE
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert admin.ask("GET", "/about").status_code == 200
    assert nobody.ask("GET", "/about").status_code == 401  # who shows nothing tries nothing


def test_failures_are_counted_by_whose_address_it_is_and_no_more_than_so_many() -> None:
    failures = Failures(most=2, pace=1000.0)
    assert [failures.failed(f"2001:db8::{n}") is None for n in range(3)] == [True, True, False]
    assert failures.failed("2001:db8:0:1::1") is None
    assert failures.failed("::ffff:192.0.2.1") is None and failures.failed("192.0.2.1") is None
    assert failures.failed("192.0.2.1") is not None
    for number in range(10_000):
        failures.failed(f"10.{number >> 8}.{number & 255}.1")
    assert len(failures._tries) <= rates._KEPT
    assert failures.failed("no address at all") is None


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 60_000, b"9" * 5000, b'{"names": NaN}', b"\xff\xfe", b'"\\ud800"', b"", b"null"]
)
def test_what_is_no_json_is_a_mistake_of_who_sent_it(
    open_door: TestClient, fleet: Fleet, body: bytes
) -> None:
    answer = open_door.post("/typed", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == PROBLEM
    json.loads(answer.text)
