"""A command on a terminal of a given size: what it writes there."""

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

UTF8 = {"LC_ALL": "C.UTF-8"}
_MOST = 30.0


def shown(
    state: Path,
    *words: str,
    columns: int = 80,
    rows: int = 24,
    until: Callable[[str], bool] | None = None,
    environment: Mapping[str, str] = UTF8,
) -> tuple[int, str]:
    """Exit code and text. `until`: Ctrl-C as soon as this is true of what there is to see."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    argv = [sys.executable, "-m", "skinnybox", "--state", str(state), "--host", "fake", *words]
    path = {"PATH": os.environ["PATH"], "TERM": "xterm", "HOME": str(state)}
    child = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env={**path, **environment})
    os.close(theirs)
    text, deadline = b"", time.monotonic() + _MOST
    with contextlib.suppress(OSError):  # how a terminal ends
        while time.monotonic() < deadline and (piece := os.read(ours, 65536)):
            text += piece
            if until is not None and until(text.decode(errors="replace")):
                child.send_signal(signal.SIGINT)
                until = None
    code = child.wait(_MOST)
    os.close(ours)
    return code, text.decode().replace("\r\n", "\n")
