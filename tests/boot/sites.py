"""Sites of 200 MB each, made as they are asked for, and the server here that machines fetch them from."""

import hashlib
import http.client
import io
import random
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from skinnybox.sizes import MIB

PICTURES = 200
"""Of one MiB each, which nothing compresses."""


def front(site: str) -> bytes:
    return f"<h1>{site}</h1>\n".encode()


def picture(site: str, number: int) -> bytes:
    return random.Random(f"{site}/{number}").randbytes(MIB)


def digest(site: str, number: int) -> str:
    return hashlib.sha256(picture(site, number)).hexdigest()


def archive(site: str, out: io.BufferedIOBase) -> None:
    with tarfile.open(fileobj=out, mode="w|") as tar:
        _add(tar, "index.html", front(site))
        for number in range(PICTURES):
            _add(tar, f"{number}.jpg", picture(site, number))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), 1_700_000_000, 0o644
    tar.addfile(member, io.BytesIO(content))


@contextmanager
def served() -> Iterator[tuple[int, list[str]]]:
    """Its port, and the paths that were asked for until now. Only this host's loopback leads to it."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            archive(self.path.removeprefix("/").removesuffix(".tar"), self.wfile)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


def get(port: int, path: str, site: str) -> tuple[int, dict[str, str], bytes]:
    """What a browser that wants this site of this host's port gets: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("GET", path, headers={"Host": site})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()
