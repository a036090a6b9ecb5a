"""The run folder of one machine; what lies in it is in the table of layout.py.

Sockets are bound and reached through a descriptor of the folder, since a socket's name may have no more than
107 bytes.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from skinnybox import named_file
from skinnybox.json_file import read_json
from skinnybox.layout import FILE
from skinnybox.process import Process

if TYPE_CHECKING:
    import socket

_MACHINE = {"pid": int, "start_time": int, "boot_id": str, "nonce": str, "started": str}


def machines(runs: Path) -> Iterator[UUID]:
    """Those with a run folder."""
    with contextlib.suppress(OSError):
        for name in os.listdir(runs):  # noqa: PTH208
            with contextlib.suppress(ValueError):
                yield UUID(name)


def stamps(runs: Path) -> list[tuple[str, int]]:
    """Another list once a file of theirs was made, replaced or removed: that changes its folder's time."""
    found = []
    for uuid in map(str, machines(runs)):
        with contextlib.suppress(OSError):
            found.append((uuid, (runs / uuid).stat().st_mtime_ns))
    return sorted(found)


def read_machine(folder: Path) -> dict[str, Any] | None:
    """What `launch` wrote of the last start; None when there is nothing, or nothing whole."""
    values = read_json(folder / "machine.json") or {}
    whole = all(type(values.get(key)) is kind for key, kind in _MACHINE.items())
    return values if whole else None


def machine_process(values: dict[str, Any]) -> Process:
    return Process(pid=values["pid"], started=values["start_time"], boot=values["boot_id"])


def tail(path: Path, length: int) -> bytes:
    """The end of a file; b"" when there is none."""
    try:
        with named_file.opened(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - length))
            return file.read(length)
    except FileNotFoundError:
        return b""


@contextlib.contextmanager
def short(folder: Path) -> Iterator[str]:
    """A name of the folder that is short, as long as the block runs."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def listen(folder: Path, name: str) -> "socket.socket":
    """A listening unix socket, in place of whatever had its name; only its owner may connect."""
    import socket

    (folder / name).unlink(missing_ok=True)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(opened.fileno(), FILE)  # which the name has from the moment it is bound
        with short(folder) as path:
            opened.bind(f"{path}/{name}")
        (folder / name).chmod(FILE)
        opened.listen(16)
    except BaseException:
        opened.close()
        raise
    return opened


def connect(folder: Path, name: str, timeout: float) -> "socket.socket":
    """Raises OSError when nobody listens."""
    import socket

    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.settimeout(timeout)
        with short(folder) as path:
            opened.connect(f"{path}/{name}")
    except BaseException:
        opened.close()
        raise
    return opened
