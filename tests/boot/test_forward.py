"""Ports of the host that lead into a real machine."""

import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Forward
from tests.boot.conftest import Create

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]
SERVER = (
    "#!/usr/bin/perl\nuse IO::Socket::INET;\n"
    'my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) or die "$!";\n'
    'while (my $c = $s->accept) { my $l = <$c>; print $c "HTTP/1.0 200\\r\\n\\r\\nwidgets\\n"; close $c }\n'
)


def free_port(first: int = 18_000) -> int:
    """Below those that are given out for ssh, so that no machine of a neighbour gets it."""
    for port in range(first, 19_999):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def page(port: int, path: str = "") -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
        found: bytes = answer.read()
    return found


@pytest.mark.full
def test_its_web_page(fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh) -> None:
    port = free_port()
    create("ports")
    assert fleet.set(["ports"], {"forwards": (Forward(port=port, to=80),)})[0].ok
    with socket.create_server(("127.0.0.1", port)):
        (outcome,) = fleet.start(["ports"])
        assert isinstance(outcome.error, Conflict) and f"port {port} of 127.0.0.1" in outcome.error.message
        assert outcome.error.hint is not None and f"forward ports --remove {port}" in outcome.error.hint
    up("ports")
    sh("ports", f"cat >/root/web <<'EOF'\n{SERVER}EOF\nsystemd-run --quiet perl /root/web; sleep 3")
    assert page(port) == b"widgets\n"
    (outcome,) = fleet.set(["ports"], {"forwards": ()})
    assert outcome.ok and page(port) == b"widgets\n"  # until its next start
    down("ports")
    with pytest.raises(urllib.error.URLError, match="refused"):
        page(port)
