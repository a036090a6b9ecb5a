"""The server as a process: its doors, that it is alone, and its end."""

import contextlib
import signal
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, UsageError
from tests.fleet.conftest import said
from tests.serve.conftest import a_token, certificate
from tests.serve.running import ROOT, SOON, running, until


@pytest.fixture(autouse=True)
def _here(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")


def test_it_answers_at_its_doors_until_it_is_ended(state: Path) -> None:
    with running(state) as server:
        assert server.said[0] == f"serving {state}, also at {state}/serve.sock; Ctrl-C ends it"
        assert server.said[1] == f"open http://127.0.0.1:{server.port}/"
        assert server.get("/api/v1/about")[0] == 401
        status, who = server.get("/api/v1/about", over_socket=True)
        assert (status, who["name"], who["role"]) == (200, "owner", "admin")
        status, who = server.get("/api/v1/about", token=a_token(state, "viewer"))
        assert (status, who["name"], who["role"]) == (200, "tester", "viewer")
        assert stat.S_IMODE((state / "serve.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE((state / "serve.key").stat().st_mode) == 0o600
        assert server.end() == 0
        assert server.said[-1] == "ending what is being answered; again leaves at once"
        assert "Traceback" not in "\n".join(server.said)
    assert not (state / "serve.sock").exists()


def test_the_first_time_one_is_told_how_to_get_in(state: Path) -> None:
    hint = "nobody can sign in yet: `skinnybox token create NAME --role admin` makes a token"
    with running(state) as server:
        until(lambda: len(server.said) > 2)
        assert server.said[2] == hint
    a_token(state)
    with running(state) as server:
        server.end()
        assert hint not in server.said


def test_ctrl_c_ends_it_as_well(state: Path) -> None:
    with running(state) as server:
        assert server.end(signal.SIGINT) == 0


def test_a_name_that_is_not_its_own_is_refused_and_one_that_is_said_is_not(state: Path) -> None:
    with running(state, "--host-name", "Boxes.example.org") as server:
        for host, status in (
            ("boxes.example.org", 401),
            ("evil.example.org", 421),
            (f"[::1]:{server.port}", 401),
        ):
            connection = server.over_tcp()
            connection.request("GET", "/api/v1/about", headers={"host": host})
            assert connection.getresponse().status == status, host
            connection.close()


def test_only_one_serves_a_folder(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(state) as server:
        second = said(capsys, "serve")
        assert second.code == Conflict.exit_code
        assert f"process {server.process.pid} serves {state} already" in second.err
        assert server.get("/api/v1/about", over_socket=True)[0] == 200
        server.end()
    with running(state) as server:
        server.end()


def test_what_a_killed_one_leaves_blocks_nobody(state: Path) -> None:
    with running(state) as server:
        server.end(signal.SIGKILL)
    assert (state / "serve.sock").is_socket() and (state / "serve.lock").stat().st_size
    with running(state) as server:
        assert server.get("/api/v1/about", over_socket=True)[0] == 200


def test_a_port_that_somebody_has_is_told(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        told = said(capsys, "serve", "--listen", address)
    assert told.code == Conflict.exit_code and f"somebody listens on {address} already" in told.err
    assert not (state / "serve.sock").exists()


@pytest.mark.parametrize("content", ["a file", "a folder", "somebody's socket"])
def test_nothing_of_others_is_removed(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "there"
    with contextlib.ExitStack() as stack:
        if content == "a file":
            place.write_text("dear")
        elif content == "a folder":
            place.mkdir()
        else:
            other = stack.enter_context(socket.socket(socket.AF_UNIX))
            other.bind(str(place))
            other.listen()
        told = said(capsys, "serve", "--socket", str(place), "--listen", "127.0.0.1:1")
        assert told.code == Conflict.exit_code and str(place) in told.err
    assert place.exists()


def test_a_long_path_is_no_reason(tmp_path: Path) -> None:
    state = tmp_path / ("x" * 120) / "state"
    with running(state) as server:
        assert server.get("/api/v1/about", over_socket=True)[0] == 200
        server.end()
    assert not (state / "serve.sock").exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("--listen 0.0.0.0:8470", UsageError.exit_code),
        ("--listen 192.0.2.1:8470", UsageError.exit_code),
        ("--listen [::]:8470", UsageError.exit_code),
        ("--listen 127.0.0.1:8471 --listen 0.0.0.0:8470", UsageError.exit_code),
        ("--listen 127.0.0.1", 2), ("--listen 8470", 2), ("--listen 127.0.0.1:0", 2),
        ("--listen 127.0.0.1:65536", 2), ("--listen example.org:80", 2), ("--listen ::1:80", 2),
        ("--listen 127.0.0.1:+80", 2), ("--tls-cert x", 2), ("--tls-key x", 2), ("--tls-min 1.1", 2),
        ("--host-name http://x", 2), ("--host-name x:80", 2), ("--host-name *", 2),
        ("--behind-proxy somewhere", 2), ("--behind-proxy *", 2), ("--socket=", 2),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_is_made(
    state: Path, options: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, "serve", *options.split())
    assert told.code == code, told
    assert not (state / "serve.lock").exists()


def test_without_tls_others_are_told_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "serve", "--listen", "0.0.0.0:8470")
    assert "without TLS everybody on the way reads what is said at 0.0.0.0:8470, tokens too" in told.err
    assert "--tls-cert" in told.err


def test_systemd_is_told(state: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(SOON)
        systemd.bind(str(tmp_path / "notify"))
        with running(state, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            assert systemd.recv(100) == b"READY=1"
            server.send(signal.SIGHUP)
            assert [systemd.recv(100), systemd.recv(100)] == [b"RELOADING=1", b"READY=1"]
            assert server.get("/api/v1/about", over_socket=True)[0] == 200
            server.end()
            assert systemd.recv(100) == b"STOPPING=1"


WITHOUT = """
import sys
sys.modules["uvicorn"] = None
from skinnybox.cli.main import run_command
sys.exit(run_command(["serve"]))
"""


def test_where_it_is_not_installed_one_is_told_how(state: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 6
    assert "there is no uvicorn" in done.stderr and "pip install 'skinnybox[serve]'" in done.stderr
    assert not state.exists()


def test_no_other_command_waits_for_what_serves() -> None:
    code = (
        "import sys; from skinnybox.cli.main import run_command; run_command(['list']);"
        "run_command(['token', 'list']);"
        "print([name for name in sys.modules if name.partition('.')[0] in"
        " ('fastapi', 'starlette', 'uvicorn', 'asyncio', 'ssl') or name.startswith('skinnybox.serve')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("options", "origin"),
    [((), "127.0.0.1"), (("--behind-proxy=127.0.0.1",), "198.51.100.7"),
     (("--behind-proxy=127.0.0.0/8",), "198.51.100.7"), (("--behind-proxy=192.0.2.1",), "127.0.0.1")],
)  # fmt: skip
def test_only_a_proxy_that_was_named_says_who_asks(
    state: Path, options: tuple[str, ...], origin: str
) -> None:
    token = a_token(state)
    with running(state, *options) as server:
        connection = server.over_tcp()
        headers = {
            "authorization": f"Bearer {token}", "content-type": "application/json",
            "x-forwarded-for": "203.0.113.9, 198.51.100.7", "x-forwarded-proto": "https",
        }  # fmt: skip
        connection.request("POST", "/api/v1/tokens", '{"name": "x", "role": "viewer"}', headers)
        assert connection.getresponse().status == 201
        connection.close()
        status, page = server.get("/api/v1/jobs?limit=1", token=token)
    assert (status, page["items"][0]["origin"].partition(",")[0]) == (200, origin)


_HUNG_UP_EARLY = """
import os, signal, sys
from skinnybox.cli.main import run_command
from skinnybox.serve import process
real = process._finish
def finish(fleet, told):
    os.kill(os.getpid(), signal.SIGHUP)
    real(fleet, told)
process._finish = finish
sys.exit(run_command(["--host", "fake", *sys.argv[1:]]))
"""


def test_a_hangup_before_it_answers_is_not_its_end(state: Path, tmp_path: Path) -> None:
    """`systemctl reload`, or a renewed certificate's hook, while it settles what was left."""
    chain, key = certificate(tmp_path / "tls")
    trust = ssl.create_default_context(cafile=str(chain))
    options = ("--tls-cert", str(chain), "--tls-key", str(key))
    with running(state, *options, module=("-c", _HUNG_UP_EARLY), tls=trust) as server:
        until(lambda: f"read {chain} anew" in server.said)
        assert server.get("/healthz")[0] == 200
        assert server.end() == 0
