"""What a pool says is anybody's: names of any kind, and answers of a server that is no pool."""

import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from skinnybox import run
from tests.emulators.xapi import certificate
from tests.plugin.conftest import image
from tests.xencenter.conftest import Desk, told


def core_first(cases: Sequence[object], many: int) -> list[object]:
    """The first of them in the core of the tests, the rest in the full run."""
    return [*cases[:many], *(pytest.param(each, marks=pytest.mark.full) for each in cases[many:])]


NAMES = [
    "a 'quoted' \"name\" <&amp;> %s {0} \\",
    "two\nlines\r\n\t\x7f, \u202eturned\u200b \ufeffround",
    "日本語 €𝄞",
    "--text master=x https://evil.example/ OpaqueRef:0 Pool x",
    '{"x": 1}',
    "/Date(0)/",
    "x" * 3000,
]


@pytest.mark.parametrize("name", core_first(NAMES, 2))
def test_names_of_any_kind(desk: Desk, name: str) -> None:
    """Of template, master, layer, network, storage and a machine; chosen as the window does."""
    dom0 = desk.dom0
    layer = dom0.layer("any", 1)
    with dom0.pool.database() as database:
        template = next(ref for ref, _ in database.where("VM", name_label="thin"))
        network = next(ref for ref, _ in database.where("network", name_label="lan"))
        things = {"template": ("VM", template), "master": ("VDI", dom0.master)}
        things |= {"sr": ("SR", dom0.sr), "network": ("network", network)}
        for kind, ref in [*things.values(), ("VDI", layer)]:
            database.set(kind, ref, "name_label", name)
        uuids = {key: database.get(*thing, "uuid") for key, thing in things.items()}
    words = [f"{key}={uuid}" for key, uuid in uuids.items()]
    words.append(f"layers={image(1)}")
    ended = desk.run("batch", "--text", *words, "prefix=web-", "last=2", "start=true")
    assert told(ended).splitlines()[-2:] == ["web-1: made, started", "web-2: made, started"]
    assert ended.returncode == 0
    assert all(each.isprintable() for line in told(ended).splitlines() for each in line)


@pytest.mark.parametrize("name", core_first([each for each in NAMES if len(each) <= 200], 1))
def test_names_that_the_user_says(desk: Desk, name: str) -> None:
    """As arguments of the plugin, and back from it in an error."""
    ended = desk.run("batch", "--text", f"template={name}", "master=lamp:1", "prefix=a", "last=1")
    assert ended.returncode == 3 and "There is no template" in told(ended)
    assert all(each.isprintable() for line in told(ended).splitlines() for each in line)


class Wrong(BaseHTTPRequestHandler):
    body = b""
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def answering(folder: Path, body: bytes, status: int = 200) -> Iterator[str]:
    """The address of a server that says only that, with the emulated pools' certificate."""
    handler = type("Saying", (Wrong,), {"body": body, "status": status})
    server = HTTPServer(("127.0.0.1", 0), handler)
    context = certificate.context(*certificate.make(folder))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


ANSWERS = {
    "nothing": b"",
    "a page": b"<html>Sign in</html>",
    "a result of another kind": b'{"result": 7}',
    "a date": b'{"result": ["\\/Date(0)\\/"]}',
    "deep": b'{"result": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "no object": b"[1, 2]",
    "null": b"null",
    "no result": b'{"jsonrpc": "2.0", "id": 1}',
    "null for a result": b'{"result": null}',
    "an empty list": b'{"result": []}',
    "a list of numbers": b'{"result": [1]}',
    "an error that is a list": b'{"result": null, "error": ["SESSION_INVALID", "x"]}',
    "an error that is a text": b'{"error": "no"}',
    "an error without words": b'{"error": {"code": 1}}',
    "an error of numbers": b'{"error": {"message": 1, "data": [2]}}',
    "a type": b'{"result": {"__type": "System.Diagnostics.Process", "x": 1}}',
    "cut short": b'{"result": ["OpaqueRef:',
    "not UTF-8": b'{"result": ["\xff\xfe\xc0"]}',
    "a key without quotes": b"{result: 1}",
    "two values": b'{"result": 1} {}',
    "a comma too many": b'{"result": [1,]}',
    "an unknown escape": b'{"result": "\\x"}',
    "half an escape": b'{"result": "\\u12',
    "a number too large": b'{"result": 1e999999}',
}


@pytest.mark.parametrize("what", core_first(list(ANSWERS), 5))
def test_what_is_no_pool_is_called_so(built: Path, tmp_path: Path, what: str) -> None:
    with answering(tmp_path, ANSWERS[what]) as authority:
        ended = asking(built, tmp_path, authority)
    assert ended.returncode == 1
    assert "cannot be read" in told(ended) or "The pool refused it" in told(ended)


@pytest.mark.parametrize("status", core_first([302, 307, 401, 404, 500], 1))
def test_an_answer_of_http(built: Path, tmp_path: Path, status: int) -> None:
    with answering(tmp_path, b"{}", status) as authority:
        ended = asking(built, tmp_path, authority)
    assert ended.returncode == 1
    assert "does not answer" in told(ended) or "cannot be read" in told(ended)


def asking(built: Path, folder: Path, authority: str) -> run.Ended:
    pem = (folder / "pool.pem").read_text()
    digest = run.run(["sha256sum"], stdin=ssl.PEM_cert_to_DER_cert(pem)).stdout.decode().split()[0]
    (folder / "known").write_text(f"{authority} {digest.upper()}\n")
    words = ["batch", "--text", "template=t", "master=m", "prefix=a", "last=1"]
    return run.run(
        ["mono", str(built / "Skinnybox.exe"), *words, f"https://{authority}/", "OpaqueRef:1", "Pool", "u"],
        env={"LC_ALL": "C.UTF-8", "SKINNYBOX_KNOWN_POOLS": str(folder / "known")},
        ok=range(256),
        timeout=120,
    )
