import socket
from pathlib import Path

import pytest

from skinnybox.errors import NoSpace, NotFound, UsageError
from skinnybox.fleet.catalog import ports
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.fleet.names import expand, select


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("web", ["web"]),
        ("web-{01..03}", ["web-01", "web-02", "web-03"]),
        ("web-{8..11}", ["web-8", "web-9", "web-10", "web-11"]),
        ("{db,www}-{1..2}", ["db-1", "db-2", "www-1", "www-2"]),
        ("{1..1}", ["1"]),
    ],
)
def test_patterns_make_names(pattern: str, names: list[str]) -> None:
    assert expand([pattern]) == names


@pytest.mark.parametrize(
    "pattern", ["web-{3..1}", "web-{}", "web-{x}", "Web", "web-{1..999999999}", "web-{a,b", "w.{1..2}"]
)
def test_bad_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(UsageError):
        expand([pattern])


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="named twice: web-02"):
        expand(["web-{01..03}", "web-02"])


def test_selection_keeps_the_order_and_takes_each_once() -> None:
    existing = ["db", "web-01", "web-02", "web-10"]
    assert select(["web-0*", "db", "web-{01..02}"], existing) == ["web-01", "web-02", "db"]


def test_what_matches_nothing_is_named() -> None:
    with pytest.raises(NotFound, match="no machine matches 'mail-"):
        select(["mail-*"], ["web-01"])
    with pytest.raises(NotFound, match="no machine named web-1") as caught:
        select(["web-1"], ["web-01"])
    assert caught.value.hint == "did you mean web-01?"


def test_ports_are_each_given_once_and_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "listening", frozenset[int])
    folder = Path("/var/lib/skinnybox")
    free = free_ports([], folder)
    given = [next(free) for _ in range(12_000)]
    assert sorted(given) == list(range(20_000, 32_000))
    with pytest.raises(NoSpace):
        next(free)
    assert next(free_ports(given[:5], folder)) == given[5]
    assert next(free_ports([], Path("/home/a/.local/state/skinnybox"))) != given[0]


def knows_ipv6() -> bool:
    addresses = Path("/proc/net/if_inet6")
    return addresses.exists() and addresses.read_text() != ""


WITH_IPV6 = pytest.mark.skipif(not knows_ipv6(), reason="no IPv6 here")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", pytest.param("::", marks=WITH_IPV6), pytest.param("::1", marks=WITH_IPV6)],
)
def test_a_port_that_somebody_listens_at_is_given_to_nobody(tmp_path: Path, address: str) -> None:
    """Two state folders that begin at one place have the same ports, and only one of them starts."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as other:
        port = next(free_ports([], tmp_path))
        other.bind((address, port))
        other.listen()
        assert next(free_ports([], tmp_path)) != port


def test_connections_are_no_ports_that_are_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = server.getsockname()
        with socket.create_connection(at) as client, server.accept()[0]:
            found = ports.listening()
            assert at[1] in found and client.getsockname()[1] not in found


def test_where_the_kernel_tells_of_no_ports_none_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "Path", lambda *_: Path("/nowhere"))
    assert ports.listening() == frozenset()
