"""Reaching the supervisor of a state folder, and starting it when there is none."""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import skinnybox
from skinnybox import private
from skinnybox.errors import Conflict, SkinnyboxError
from skinnybox.hosts.guest_io.run_folder import connect, tail
from skinnybox.process import identify, reap, remember

if TYPE_CHECKING:
    from socket import socket

_DEADLINE = 15.0
_POLL = 0.02
_TRIES = 3
"""How many supervisors may fail before it is given up: one that only finds another at work does not fail."""
_LOG = "supervisor.log"
_LOG_LIMIT = 65536
# Isolated and without site-packages: it needs the standard library and this package, and starts in 50 ms.
_MAIN = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from pathlib import Path\n"
    "from skinnybox.hosts.guest_io.supervisor import main\n"
    "main(Path(sys.argv[2]))"
)


def adopt(runs: Path, uuid: UUID) -> bool:
    """Have the machine listened to, or its end recorded; whether it is the first. Idempotent. Starts the
    supervisor."""
    opened, answer = _ask(runs, f"adopt {uuid}")
    opened.close()
    return answer == "ok"


def answers(runs: Path) -> bool:
    """Whether there is a supervisor; starts none."""
    with contextlib.suppress(OSError), connect(runs, "supervisor", _DEADLINE):
        return True
    return False


def console(runs: Path, uuid: UUID) -> "socket":
    """A stream to and from the console; Conflict when the machine is off."""
    opened, answer = _ask(runs, f"console {uuid}")
    if answer != "ok":
        opened.close()
        raise Conflict(f"there is no console: {answer}", hint="start the machine first")
    opened.settimeout(None)
    return opened


def _ask(runs: Path, line: str) -> "tuple[socket, str]":
    deadline, started, failed = time.monotonic() + _DEADLINE, 0, 0
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return _asked(runs, line)
        # One that is about to end still holds its lock: the next try comes after it is gone.
        if not started or identify(started) is None:
            failed += bool(started and reap(started))
            if failed >= _TRIES:
                break
            started = _start(runs)
        time.sleep(_POLL)
    said = tail(runs / _LOG, 2000).decode("utf-8", "replace").strip()
    raise SkinnyboxError(f"the supervisor of {runs} does not answer", hint=said or None)


def _asked(runs: Path, line: str) -> "tuple[socket, str]":
    opened = connect(runs, "supervisor", _DEADLINE)
    try:
        opened.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            byte = opened.recv(1)
            if not byte:
                raise ConnectionResetError("the supervisor ended")
            answer += byte
        return opened, answer.decode().strip()
    except BaseException:
        opened.close()
        raise


def _start(runs: Path) -> int:
    log = private.to_append(runs / _LOG)
    try:
        if os.fstat(log).st_size > _LOG_LIMIT:
            os.ftruncate(log, 0)
        from skinnybox import run

        package = Path(skinnybox.__file__).parent.parent
        return remember(run.detach([sys.executable, "-I", "-S", "-c", _MAIN, package, runs], output=log))
    finally:
        os.close(log)
