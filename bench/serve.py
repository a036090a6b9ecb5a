"""The server with 2,000 machines: `python -m bench.serve`.

How long until the first byte of the console's list of machines comes, against what of the same process is
always the same (its style sheet), in turn and over the same kind of connection; and how much memory the
server takes against one with no machines. Half of the machines run. The list is asked for after a pause: what
the server knows from the time before is what somebody has who looks on. The API's list is told beside it,
without a limit: it says how machines are when it is asked, and looks at all of them for that.
"""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Verdict, alternate, ratio, verdict
from bench.reading import _pretend
from bench.store import scratch, seal_something, skinnybox

MACHINES = 2_000
PAIRS = 15
PAUSE = 0.2
FIRST_BYTE = 3
_STATIC = "/static/base.css"
_READY = "/healthz"
_PAGE, _API = "/machines", "/api/v1/machines"


def main() -> int:
    os.environ["SKINNYBOX_HOST"] = "fake"
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        none, many = Path(name, "none"), Path(name, "many")
        for folder in (none, many):
            folder.mkdir()
            seal_something(folder)
        skinnybox(many, "create", "-q", f"m-{{1..{MACHINES}}}", "-m", "bench", "--overlay", "64M", "--sparse")
        skinnybox(many, "start", "-q", "m-7")
        _pretend(many)
        with _served(many) as (path, busy), _served(none) as (other, idle):
            said = _first_byte(path, _PAGE)
            print(f"{_API}: {min(_get(path, _API)[0] for _ in range(5)) * 1000:.0f} ms")
            _get(other, _PAGE)
            taken, least = _resident(busy) >> 20, _resident(idle) >> 20
        print(f"memory of the server: {taken} MiB with {MACHINES} machines, {least} MiB with none")
        return said.code


def _first_byte(path: Path, page: str) -> Verdict:
    status, size = _get(path, page)[1:]
    if status != 200:
        raise RuntimeError(f"{page}: {status}")

    def of(asked: str) -> Callable[[], float]:
        def taken() -> float:
            time.sleep(PAUSE)
            return _get(path, asked)[0]

        return taken

    ones, others = alternate(of(page), of(_STATIC), PAIRS)
    print(
        f"{page}: {min(ones) * 1000:.1f} ms and {size >> 10} KiB, {min(others) * 1000:.1f} ms for {_STATIC}"
    )
    return verdict(f"first byte of {page}", ratio(ones, others), FIRST_BYTE)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def _get(path: Path, page: str) -> tuple[float, int, int]:
    """Seconds until the head was there, the status, and the bytes of the body."""
    connection = _Connection(path)
    connection.connect()
    begun = time.perf_counter()
    connection.request("GET", page)
    answer = connection.getresponse()
    taken = time.perf_counter() - begun
    size = len(answer.read())
    connection.close()
    return taken, answer.status, size


@contextmanager
def _served(folder: Path) -> Iterator[tuple[Path, int]]:
    """The socket of a server, and its process."""
    path = folder / "state" / "serve.sock"
    command = [sys.executable, "-m", "skinnybox", "--state", str(folder / "state"), "serve"]
    process = subprocess.Popen([*command, "--listen", f"127.0.0.1:{_free_port()}"], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not path.exists() or _get(path, _READY)[1] != 200:
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError("the server does not answer")
            time.sleep(0.1)
        yield path, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _resident(pid: int) -> int:
    """Bytes at the most, so far."""
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) << 10 if found else 0


if __name__ == "__main__":
    sys.exit(main())
