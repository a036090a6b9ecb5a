"""Streams of events over real connections: as browsers ask for them, and when the server ends."""

import http.client
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from skinnybox.model import Master
from tests.fleet.conftest import SPARSE, open_fake
from tests.serve.conftest import a_token
from tests.serve.running import Running, running

PATH = "/api/v1/events/stream"


@pytest.fixture(autouse=True)
def _machines(state: Path, master: Master) -> None:
    with open_fake(state) as fleet:
        fleet.create(["a", "b"], "tiny", SPARSE)
        fleet.start(["a"])


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def opened(
    server: Running, connections: ExitStack, path: str = PATH, **headers: str
) -> http.client.HTTPResponse:
    connection = connections.enter_context(closing(server.own_door()))
    connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    return connections.enter_context(closing(connection.getresponse()))


def block(stream: http.client.HTTPResponse) -> list[str]:
    """The next that is more than a comment."""
    lines: list[str] = []
    while line := stream.readline().decode():
        if line == "\n" and lines:
            return lines
        if line != "\n" and not line.startswith((":", "retry")):
            lines.append(line.rstrip("\n"))
    return lines


def test_a_browser_goes_on_where_it_was(state: Path, connections: ExitStack) -> None:
    with running(state) as server:
        first = opened(server, connections)
        assert first.status == 200 and first.headers["content-type"].startswith("text/event-stream")
        assert first.headers["cache-control"] == "no-store"
        assert block(first) == ["id: 2"]
        with open_fake(state) as fleet:  # by another process
            fleet.start(["b"])
        found = [block(first) for _ in range(5)]
        assert [lines[0] for lines in found if lines[0].startswith("id")] == ["id: 3", "id: 4"]
        assert [each[1] for each in found if each[0].startswith("id")] == ["event: started", "event: ready"]
        again = opened(server, connections, last_event_id="3")
        assert block(again)[:2] == ["id: 4", "event: ready"]
        beside = opened(server, connections, f"{PATH}?after=0")
        assert block(beside)[0] == "id: 1"
        begun = time.monotonic()
        assert server.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 8
        for stream in (first, again, beside):
            while block(stream):
                pass


def test_who_is_nobody_or_asks_nonsense_gets_none(state: Path, connections: ExitStack) -> None:
    with running(state) as server:
        assert server.get(PATH)[0] == 401
        for headers in ({"last_event_id": "x"}, {"last_event_id": "-1"}):
            assert opened(server, connections, **headers).status == 422
        assert server.get(f"{PATH}?after={1 << 60}", over_socket=True)[0] == 422
        status, page = server.get("/api/v1/events?limit=1", token=a_token(state, "viewer"))
        assert (status, page["total"], page["items"][0]["event"]) == (200, 2, "started")
        assert server.get("/api/v1/events?after=1&machine=b", token=a_token(state))[1]["total"] == 0
