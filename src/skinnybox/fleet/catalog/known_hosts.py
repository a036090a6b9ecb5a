"""The host keys each machine is held to, one file for each in ssh/known_hosts, as ssh reads it."""

import contextlib
import os
from pathlib import Path
from uuid import UUID

from skinnybox import named_file, private
from skinnybox.hosts.host_keys import checked

_MOST = 1 << 20


def folder(state: Path) -> Path:
    return state / "ssh" / "known_hosts"


def file(pins: Path, uuid: UUID) -> Path:
    return pins / str(uuid)


def keep(pins: Path, uuid: UUID, keys: tuple[str, ...]) -> Path:
    """The machine's file with just these keys, `TYPE BASE64` each. Atomic; raises OSError."""
    path, text = file(pins, uuid), "".join(f"{uuid} {key}\n" for key in keys)
    if not _holds(path, text):
        private.make_folder(pins)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        if fresh.exists():  # of a process that had our number, and was killed
            fresh.unlink()
        with private.create(fresh) as new:
            new.write(text.encode())
        fresh.rename(path)
    return path


def _holds(path: Path, text: str) -> bool:
    try:
        return named_file.content(path, _MOST) == text.encode()
    except OSError:
        return False


def kept(pins: Path, uuid: UUID) -> tuple[str, ...]:
    """The keys in its file; none when there is no such file, or when any line of it is no such key."""
    with contextlib.suppress(OSError, ValueError):
        words = [
            line.split(" ", 1) for line in named_file.content(file(pins, uuid), _MOST).decode().splitlines()
        ]
        return tuple(checked(parts[1]) for parts in words if len(parts) == 2 and parts[0] == str(uuid))
    return ()


def drop(pins: Path, uuid: UUID) -> None:
    """Idempotent."""
    with contextlib.suppress(OSError):
        file(pins, uuid).unlink()
