"""Knocking at what answers at once, late, never, and as something else."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from skinnybox.hosts.reach import Knock, Way

FOR_EVER = b"x" * 100_000


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


class Service:
    """Says the same to all who come, and keeps their connections."""

    def __init__(self, words: bytes) -> None:
        self._words, self.taken = words, list[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.way = Way(*self._server.getsockname())
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                client.setblocking(False)
                with contextlib.suppress(OSError):
                    client.send(self._words)
                self.taken.append(client)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for client in self.taken:
            client.close()


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    opened = Service(request.param)
    yield opened
    opened.close()


def answered(knock: Knock, seconds: float = 5.0) -> bool:
    """Whether it is within so many seconds of real time."""
    deadline = time.monotonic() + seconds
    with contextlib.closing(knock):
        while time.monotonic() < deadline:
            if knock.poll():
                return True
            time.sleep(0.01)
    return False


@pytest.mark.parametrize("service", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"SSH-" + FOR_EVER], indirect=True)
def test_a_banner_is_an_answer(service: Service) -> None:
    assert answered(Knock(service.way))
    assert len(service.taken) == 1


@pytest.mark.parametrize("service", [b"HTTP/1.1 400 \r\n", FOR_EVER, b"SSX-2.0", b"\0"], indirect=True)
def test_anything_else_is_none(service: Service) -> None:
    assert not answered(Knock(service.way), 0.8)
    assert 1 <= len(service.taken) <= 2


def test_who_is_refused_comes_again(unused: socket.socket) -> None:
    knock = Knock(Way(*unused.getsockname()))
    assert not answered(knock, 0.2)
    unused.listen()
    assert not answered(knock, 0.7)
    client, _ = unused.accept()
    client.close()


@pytest.fixture
def unused() -> Iterator[socket.socket]:
    """Bound, and not listening: who comes is refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@pytest.mark.parametrize("service", [b"", b"SS"], indirect=True)
def test_a_silent_one_is_tried_again_with_more_patience_each_time(service: Service) -> None:
    clock, tries = Clock(), list[float]()

    def dial(way: Way) -> socket.socket:
        tries.append(clock.time)
        opened = socket.socket()
        opened.connect(way)
        opened.setblocking(False)
        return opened

    knock = Knock(service.way, dial, clock.now)
    with contextlib.closing(knock):
        while clock.time < 80:
            assert not knock.poll()
            clock.time += 0.25
    apart = [after - before for before, after in itertools.pairwise(tries)]
    assert [round(each) for each in apart[:5]] == [2, 4, 8, 16, 16]


def test_a_way_that_cannot_even_be_tried_is_no_answer() -> None:
    clock, tries = Clock(), list[float]()

    def dial(way: Way) -> socket.socket:
        tries.append(clock.time)
        raise OSError("out of descriptors")

    knock = Knock(Way("192.0.2.1"), dial, clock.now)
    while clock.time < 5:
        assert not knock.poll()
        clock.time += 0.1
    assert 8 <= len(tries) <= 11


def test_ways_are_said_as_people_write_them() -> None:
    assert [str(way) for way in (Way("192.0.2.1"), Way("127.0.0.1", 20000), Way("2001:db8::1", 23))] == [
        "192.0.2.1",
        "127.0.0.1:20000",
        "[2001:db8::1]:23",
    ]
