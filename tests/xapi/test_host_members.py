"""A pool by several of its members: which of them answers is found out, also when the master dies."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.hosts.xapi import session
from skinnybox.hosts.xapi.session import Lost
from tests.emulators.xapi import EmulatedPool
from tests.xapi.furnished import furnished, host_on


@pytest.fixture
def pool() -> Iterator[EmulatedPool]:
    with furnished(hosts=("alpha", "beta", "gamma")) as opened:
        yield opened


def unused() -> str:
    """A place where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_the_first_that_answers_is_asked(pool: EmulatedPool, tmp_path: Path) -> None:
    dead = unused()
    with closing(host_on(pool, tmp_path, url=f"http://{dead}", others=(pool.url_of(2),))) as host:
        assert host.statuses() == {}
        assert host._pool.sessions.host == pool.url.partition("//")[2], "where the member sends us"
    with closing(host_on(pool, tmp_path, url=f"http://{dead}")) as host, pytest.raises(Lost, match="did not"):
        host.statuses()


def test_none_that_answers(pool: EmulatedPool, tmp_path: Path) -> None:
    dead, other = unused(), unused()
    with (
        closing(host_on(pool, tmp_path, url=f"http://{dead}", others=(f"http://{other}",))) as host,
        pytest.raises(Lost) as caught,
    ):
        host.statuses()
    assert dead in caught.value.message and other in caught.value.message


def test_a_master_that_dies(pool: EmulatedPool, tmp_path: Path) -> None:
    """In the middle of a command, and before the next one."""
    url, others = pool.url, (pool.url_of(1), pool.url_of(2))
    with closing(host_on(pool, tmp_path, url=url, others=others)) as host:
        assert host.statuses() == {}
        pool.fail_over(2)
        host._pool.things.refresh(anew=True)
        assert {entry.host for entry in pool.log.of("event.from")} == {"alpha", "gamma"}
    with closing(host_on(pool, tmp_path, url=url, others=others)) as host:
        assert host.statuses() == {}


def test_what_changes_something_is_not_sent_again(pool: EmulatedPool, tmp_path: Path) -> None:
    with closing(host_on(pool, tmp_path, url=pool.url, others=(pool.url_of(1),))) as host:
        host.statuses()
        pool.fail_over(1)
        pool.log.clear()
        with pytest.raises(Lost):
            host._pool.call("task.create", "a", "b")
        assert not pool.log.count("task.create")
        assert host._pool.call("pool.get_all"), "and the next one finds the new master"


def test_a_member_that_is_still_booting(pool: EmulatedPool, tmp_path: Path) -> None:
    pool.faults.fail("session.login_with_password", "HOST_STILL_BOOTING")
    with closing(host_on(pool, tmp_path, url=pool.url, others=(pool.url_of(1),))) as host:
        assert host.statuses() == {}
    pool.faults.fail("session.login_with_password", "HOST_STILL_BOOTING")
    with closing(host_on(pool, tmp_path)) as host, pytest.raises(SkinnyboxError, match="still booting"):
        host.statuses()


def test_who_is_not_trusted_is_not_passed_over(pool: EmulatedPool, tmp_path: Path) -> None:
    """Somebody in between would only have to wait for it."""
    tls = (pool.url_of(1, tls=True),)
    plain = host_on(pool, tmp_path, url=pool.tls_url, others=tls)
    with closing(plain), pytest.raises(Lost, match="cannot prove who it is"):
        plain.statuses()
    pinned = host_on(pool, tmp_path, url=pool.tls_url, others=tls, pins=("0" * 64,))
    with closing(pinned), pytest.raises(Corrupt, match="another certificate"):
        pinned.statuses()
    assert pool.log.count() == 0  # nobody was told the password


def test_a_master_on_the_same_link() -> None:
    """A member calls it by an address that means nothing without the card it is reached by."""
    assert session._moved("[fe80::2%eth0]:8443", "fe80::1") == "[fe80::1%eth0]:8443"
    assert session._moved("[fe80::2%eth0]", "fd00::1") == "[fd00::1]"
    assert session._moved("pool.example:8443", "10.0.0.1") == "10.0.0.1:8443"


def link_address() -> str | None:
    """One of this machine with its zone."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            number, _, _, scope, _, card = line.split()
            if scope == "20":
                return f"{':'.join(number[at : at + 4] for at in range(0, 32, 4))}%{card}"
    return None


@contextlib.contextmanager
def forwarded(at: str, to: tuple[str, int]) -> Iterator[int]:
    """A port there whose connections lead elsewhere; all of them ended in the end."""
    place = socket.getaddrinfo(at, 0, type=socket.SOCK_STREAM)[0][4]
    threads: list[threading.Thread] = []

    def begin(work: Callable[..., None], *given: object) -> None:
        threads.append(threading.Thread(target=work, args=given))
        threads[-1].start()

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = listener.accept()
                theirs = socket.create_connection(to)
                begin(_pump, ours, theirs)
                begin(_pump, theirs, ours)

    with socket.create_server(place, family=socket.AF_INET6) as listener:
        begin(accept, listener)
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(timeout=20)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with source, contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("tls", [False, True])
def test_a_pool_at_an_address_with_a_zone(pool: EmulatedPool, tmp_path: Path, tls: bool) -> None:
    found = link_address()
    if found is None:
        pytest.skip("this machine has no IPv6 address of a link")
    url = pool.url_of(0, tls=tls)
    name, _, port = url.rpartition("/")[2].partition(":")
    pins = (pool.fingerprint,) if tls else ()
    with forwarded(found, (name, int(port))) as here:
        reached = f"{'https' if tls else 'http'}://[{found}]:{here}"
        with closing(host_on(pool, tmp_path, url=reached, pins=pins)) as host:
            assert host.statuses() == {}
