"""Where several kinds of errors are caught at one place: each of them comes there, and what is said then."""

import base64
import http.client
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import XenAPI

from skinnybox.errors import Conflict, Corrupt, NotFound, SkinnyboxError, UsageError
from skinnybox.hosts.record import to_record
from skinnybox.hosts.xapi import address, identity, session, snapshots, tags, tasks, transfer, transport
from skinnybox.hosts.xapi.address import Address
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.session import Lost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import host_on

pytestmark = pytest.mark.image


def test_a_password_file_that_has_none(tmp_path: Path) -> None:
    """A folder cannot be read, and noise is no text."""
    (tmp_path / "noise").write_bytes(b"\xff\xfe\n")
    for file in (tmp_path, tmp_path / "noise"):
        with pytest.raises(UsageError, match="no password can be read"):
            address.password(Address(user="root", url="https://pool", password_file=file), {})


def test_a_ca_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no certificate\n")
    for file in (tmp_path, tmp_path / "text"):
        with pytest.raises(UsageError, match="holds no certificates"):
            transport.connector(Address(user="root", url="https://pool", ca=file), "https")


@pytest.mark.parametrize("made", ["rubbish", "2026-01-01T00:00:00"])
def test_when_a_disk_was_begun_is_no_time(made: str) -> None:
    """None at all, and one without a zone, which cannot be compared."""
    assert not tags.is_young({"other_config": {tags.MADE: made}})


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    "text",
    ["###", "YWJj", packed(b"{"), packed(b"\xff"), packed(b"[" * 200_000)],
    ids=["no base64", "not deflated", "no JSON", "no text", "nested for ever"],
)
def test_a_record_that_is_damaged(text: str) -> None:
    with pytest.raises(Corrupt, match="cannot be read"):
        tags.unpack(text, "the machine")


def test_an_id_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("rubbish\n")
    assert [identity._id_in(each) for each in (tmp_path / "none", file / "below", file)] == [None] * 3
    with pytest.raises(SkinnyboxError):
        identity._id_in(tmp_path)


@pytest.mark.parametrize(
    ("label", "changes"),
    [
        ("a", {"taken": None}),
        ("a", {"taken": 5}),
        ("a", {"taken": "noon"}),
        ("a b", {}),
        ("a", {"instance": {}}),
    ],
    ids=["nothing", "of another type", "no time", "label", "instance"],
)
def test_a_snapshot_that_is_damaged(
    new_instance: Callable[..., Instance], label: str, changes: dict[str, Any]
) -> None:
    whole = {"format": 1, "taken": "2026-01-01T00:00:00+00:00", "consistent": "crash"}
    values = whole | {"instance": to_record(new_instance())} | changes
    kept = {key: value for key, value in values.items() if value is not None}
    config = {tags.KEPT: tags.pack(kept), tags.LABEL: label}
    with pytest.raises(Corrupt, match="no snapshot of ours"):
        snapshots._loaded({"name_label": "x", "other_config": config, "physical_utilisation": "1"})


def test_a_task_that_goes_while_it_is_awaited(host: XapiHost) -> None:
    """The event tells no record, and who asks for it finds none."""
    for events in ([{"operation": "del", "ref": "x"}], []):
        with pytest.raises(SkinnyboxError, match="gone in the pool"):
            tasks._seen(host._pool.sessions, "OpaqueRef:none", events)


@pytest.mark.parametrize("code", ["VM_BAD_POWER_STATE", "HANDLE_INVALID"])
def test_it_went_off_by_itself_just_now(
    pool: EmulatedPool, host: XapiHost, running: Instance, sealed: Sealed, code: str
) -> None:
    """Nobody has to be told that it could not be switched off then; but while it runs."""
    pool.faults.fail("VM.hard_shutdown", code, "VM", "x", "y")
    with pytest.raises((Conflict, NotFound)):
        host.power_off(running)
    pool.faults.fail_after("VM.hard_shutdown", code, "VM", "x", "y")
    host.power_off(running)
    assert host.statuses() == {}


@pytest.mark.parametrize("code", ["HANDLE_INVALID", "RBAC_PERMISSION_DENIED"])
def test_a_master_that_cannot_be_named_anew(
    pool: EmulatedPool, host: XapiHost, running: Instance, sealed: Sealed, code: str
) -> None:
    """It is gone just now, or whoever is logged in may not."""
    with pool.database() as database:
        for ref, record in list(database.where("VDI")):
            if tags.role_of(record) == "master":
                database.set("VDI", ref, "name_label", "of an earlier version")
    fault = pool.faults.fail("VDI.set_name_label", code, "VDI", "x")
    host._pool.things.refresh(anew=True)
    host.add_master(*sealed, Operation())
    assert fault.met


@pytest.mark.parametrize("error", [ConnectionResetError(), http.client.BadStatusLine("noise")])
@pytest.mark.parametrize("way", ["up", "down"])
def test_a_transfer_that_breaks(
    host: XapiHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, error: Exception
) -> None:
    @contextmanager
    def broken(*_: object) -> Iterator[None]:
        raise error
        yield

    monkeypatch.setattr(transfer, "_asked", broken)
    monkeypatch.setattr(transfer, "_LAST_WORD", 0.1)
    file = tmp_path / "disk"
    file.write_bytes(b"x" * 8192)
    with file.open("r+b") as opened, pytest.raises(Lost, match="the transfer broke"):
        if way == "up":
            transfer.upload(host._pool.sessions, "x", file)
        else:
            transfer.download(host._pool.sessions, "x", opened.fileno(), 8192)


@contextmanager
def answering(status: bytes, body: bytes) -> Iterator[str]:
    """Somebody who is no pool: HOST:PORT."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(b"%s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


ANSWERS = {
    "no answer of HTTP": (b"NOISE", b""),
    "an error of HTTP": (b"HTTP/1.1 502 Bad Gateway", b"no"),
    "no XML": (b"HTTP/1.1 200 OK", b"<html>"),
    "XML of something else": (b"HTTP/1.1 200 OK", b"<html></html>"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_who_is_no_pool_is_passed_over(pool: EmulatedPool, tmp_path: Path, answer: str) -> None:
    with answering(*ANSWERS[answer]) as place:
        url = f"http://{place}"
        alone = host_on(pool, tmp_path, url=url, timeout=5.0)
        with closing(alone), pytest.raises(Lost, match="did not answer login"):
            alone.statuses()
        with closing(host_on(pool, tmp_path, url=url, others=(pool.url,), timeout=5.0)) as host:
            assert host.statuses() == {}


def test_a_host_that_never_answers_is_passed_over(pool: EmulatedPool, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with closing(host_on(pool, tmp_path, url=url, others=(pool.url,), timeout=0.5)) as host:
            assert host.statuses() == {}


def test_it_is_closed_while_its_host_is_knocked_at(
    pool: EmulatedPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after an answer was lost: the session has ended with all others."""
    host = host_on(pool, tmp_path, others=(pool.url,))
    host.statuses()

    def cut(*_: object) -> None:
        raise ConnectionResetError

    def closed(*_: object) -> None:
        host.close()
        raise OSError

    monkeypatch.setattr(host._pool.sessions, "_sent", cut)
    monkeypatch.setattr(transport, "knock", closed)
    with pytest.raises(Lost):
        host._pool.call("VM.create", {})


class Ending:
    """A session whose every method fails so, and its connection."""

    def __init__(self, error: Exception) -> None:
        self._error, self.closed = error, False

    def __getattr__(self, name: str) -> "Ending":
        return self

    def __call__(self) -> None:
        raise self._error

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    "error", [XenAPI.Failure(["SESSION_INVALID"]), AttributeError(), OSError(), TimeoutError()]
)
def test_a_session_that_cannot_be_ended_is_left(error: Exception) -> None:
    ending = Ending(error)
    session._end(ending, ending)  # type: ignore[arg-type]
    assert ending.closed


def test_an_error_of_tls_is_one_of_the_system() -> None:
    """Which is why nobody names both."""
    assert issubclass(ssl.SSLError, OSError)
