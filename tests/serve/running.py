"""A server as a process of its own, and what is asked of it."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOON = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class _OverSocket(http.client.HTTPConnection):
    """By a path that may be longer than that of a socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SOON)
        self._path = path

    def connect(self) -> None:
        folder = os.open(self._path.parent, os.O_PATH)
        try:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


@dataclass(kw_only=True)
class Running:
    """One that was started. `tls` None: it is called without."""

    state: Path
    port: int
    process: "subprocess.Popen[str]"
    tls: ssl.SSLContext | None = None
    said: list[str] = field(default_factory=list)
    hearing: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.hearing = threading.Thread(target=self._hear)
        self.hearing.start()

    def _hear(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.said.append(line.rstrip())

    def own_door(self) -> http.client.HTTPConnection:
        return _OverSocket(self.state / "serve.sock")

    def over_tcp(self) -> http.client.HTTPConnection:
        if self.tls is not None:
            return http.client.HTTPSConnection("localhost", self.port, context=self.tls, timeout=SOON)
        return http.client.HTTPConnection("localhost", self.port, timeout=SOON)

    def get(self, path: str, *, token: str | None = None, over_socket: bool = False) -> tuple[int, Any]:
        """Status, and the body: its JSON where it is some."""
        connection = self.own_door() if over_socket else self.over_tcp()
        headers = {"authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.status, json.loads(body) if is_json else body.decode()

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, within: float = SOON) -> int:
        """The exit code; all it said is in `said` then."""
        if self.process.poll() is None:
            self.send(number)
        self.process.wait(within)
        self.hearing.join()
        return self.process.returncode


@contextmanager
def running(
    state: Path, *options: str, module: Sequence[str] = ("-m", "skinnybox", "--host", "fake"),
    tls: ssl.SSLContext | None = None, environment: dict[str, str] | None = None,
    python: Sequence[str] = (sys.executable,),
) -> Iterator[Running]:  # fmt: skip
    """It answers; killed at the end of the block, if it is there still."""
    port = free_port()
    words = [
        *python,
        *module,
        "--state",
        str(state),
        "serve",
        "--listen",
        f"127.0.0.1:{port}",
        *options,
    ]
    process = subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    found = Running(state=state, port=port, process=process, tls=tls)
    try:
        until(lambda: process.poll() is not None or any(line.startswith("open ") for line in found.said))
        assert process.poll() is None, found.said
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        found.hearing.join()


def until(holds: Callable[[], bool], seconds: float = SOON) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
