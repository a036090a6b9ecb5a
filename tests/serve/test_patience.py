"""Clients that are slow on purpose: each loses its connection, and nobody else notices."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from skinnybox.serve import patience
from skinnybox.serve.patience import PatientProtocol

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK"
LIMIT = 0.6
LATER = 20.0


async def app(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Reads the whole body; then says much, as it is told by the path."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["path"] == "/early":  # without looking at what is sent
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        return
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message["more_body"]:
            break
    size = 20_000_000 if scope["path"] == "/much" else 2
    await asyncio.sleep(2 * LIMIT if scope["path"] == "/late" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    while size:
        piece = min(size, 1 << 16)
        size -= piece
        await send({"type": "http.response.body", "body": b"x" * piece, "more_body": size > 0})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server whose times are short."""
    for name, value in (("HEAD", LIMIT), ("LOOK", LIMIT), ("STALLED", LIMIT), ("OF_ONE", 8)):
        monkeypatch.setattr(patience, name, value)
    ready: list[int] = []
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, ws="websockets-sansio", timeout_keep_alive=2
        )
        config.load()
        protocol = partial(
            PatientProtocol, lambda address: address == "127.0.0.2", config=config,
            server_state=ServerState(), app_state={},
        )  # fmt: skip
        server = await loop.create_server(protocol, "0.0.0.0", 0)
        ready.append(server.sockets[0].getsockname()[1])
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    while not ready:
        time.sleep(0.01)
    yield ready[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()


def connected(port: int, address: str = "127.0.0.1") -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port), timeout=LATER, source_address=(address, 0))
    return found


def whole(client: socket.socket) -> bytes:
    """One answer, whose body is two bytes."""
    said = b""
    while not said.endswith(b"\r\n\r\nxx"):
        said += client.recv(1)
    return said


def rest(client: socket.socket) -> bytes:
    """All that comes until it is closed."""
    said = b""
    try:
        while piece := client.recv(1 << 16):
            said += piece
    except ConnectionResetError:
        pass
    return said


def trickle(client: socket.socket, data: bytes, each: float = LIMIT / 6) -> float:
    """Seconds until it was closed, though a byte came all the time."""
    begun = time.monotonic()
    try:
        for byte in data:
            client.sendall(bytes([byte]))
            time.sleep(each)
            client.setblocking(False)
            try:
                if client.recv(1, socket.MSG_PEEK) == b"":
                    break
                break
            except BlockingIOError:
                pass
            finally:
                client.settimeout(LATER)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return time.monotonic() - begun


def test_who_is_quick_is_answered(port: int) -> None:
    with connected(port) as client:
        for _ in range(3):
            client.sendall(GET)
            assert whole(client).startswith(OK)
        client.sendall(HEAD + b"x" * 100_000)
        assert client.recv(1000).startswith(OK)


def test_a_head_has_its_time(port: int) -> None:
    with connected(port) as silent:
        assert rest(silent).startswith(b"HTTP/1.1 408 ")
    with connected(port) as slow:
        assert trickle(slow, b"GET / HTTP/1.1\r\nhost: x\r\nx-" + b"x" * 1000) < 5 * LIMIT
        assert rest(slow).startswith(b"HTTP/1.1 408 ")


def test_so_has_that_of_the_next_request(port: int) -> None:
    with connected(port) as client:
        client.sendall(GET)
        assert client.recv(1000).startswith(OK)
        assert trickle(client, b"\r\n" * 100) < 5 * LIMIT
        assert OK not in rest(client)


def test_one_that_is_only_begun_behind_another_has_it_too(port: int) -> None:
    with connected(port) as client:
        client.sendall(GET + HEAD + b"x")
        assert client.recv(1000).startswith(OK)
        begun = time.monotonic()
        rest(client)
        assert time.monotonic() - begun < 6 * LIMIT


@pytest.mark.parametrize("sent", [b"", b"x" * 1000])
def test_a_body_comes_or_the_connection_goes(port: int, sent: bytes) -> None:
    with connected(port) as client:
        client.sendall(HEAD + sent)
        assert rest(client) == b""
    with connected(port) as client:
        client.sendall(HEAD)
        assert trickle(client, b"x" * 100) < 8 * LIMIT


def test_a_body_that_comes_steadily_may_take_its_time(port: int) -> None:
    with connected(port) as client:
        client.sendall(HEAD)
        for _ in range(10):
            client.sendall(b"x" * 10_000)
            time.sleep(LIMIT / 3)
        assert client.recv(1000).startswith(OK)


def test_who_is_refused_early_does_not_go_on_sending_for_ever(port: int) -> None:
    with connected(port) as client:
        client.sendall(HEAD.replace(b"POST /", b"POST /early"))
        assert client.recv(1000).startswith(b"HTTP/1.1 403")
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < LATER:
                client.sendall(b"x")
                time.sleep(LIMIT / 6)
        except OSError:
            pass
        assert time.monotonic() - begun < 8 * LIMIT


def test_an_answer_may_take_its_time(port: int) -> None:
    with connected(port) as client:
        client.sendall(GET.replace(b"/", b"/late", 1))
        assert client.recv(1000).startswith(OK)


def test_who_does_not_read_is_left(port: int) -> None:
    with connected(port) as client:
        client.sendall(GET.replace(b"/", b"/much", 1))
        time.sleep(4 * LIMIT)
        assert len(rest(client)) < 20_000_000


def test_who_reads_slowly_but_reads_is_not(port: int) -> None:
    with connected(port) as client:
        client.sendall(GET.replace(b"/", b"/much", 1))
        got = 0
        while piece := client.recv(1 << 21):
            got += len(piece)
            time.sleep(0.05)
            if got >= 20_000_000:
                break
        assert got > 20_000_000


def test_one_address_has_so_many_connections(port: int) -> None:
    mine = [connected(port) for _ in range(8)]
    with connected(port) as more:
        assert rest(more).startswith(b"HTTP/1.1 503 ")
    with connected(port, "127.0.0.3") as other:
        other.sendall(GET)
        assert other.recv(1000).startswith(OK)
    proxied = [connected(port, "127.0.0.2") for _ in range(12)]
    proxied[-1].sendall(GET)
    assert proxied[-1].recv(1000).startswith(OK)
    mine.pop().close()
    time.sleep(0.1)
    with connected(port) as again:
        again.sendall(GET)
        assert again.recv(1000).startswith(OK)
    for client in (*mine, *proxied):
        client.close()


def test_all_together_have_no_more_than_that(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST", 5)
    there = [connected(port, f"127.0.0.{number}") for number in range(10, 15)]
    time.sleep(0.1)
    with connected(port, "127.0.0.2") as more:
        assert rest(more).startswith(b"HTTP/1.1 503 ")
    for client in there:
        client.close()


def test_a_websocket_stays(port: int) -> None:
    upgrade = (
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with connected(port) as client:
        client.sendall(upgrade)
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
        client.settimeout(3 * LIMIT)
        with pytest.raises(TimeoutError):
            client.recv(10)
