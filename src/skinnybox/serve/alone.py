"""One server for one state folder, so that what many jobs do at once is bounded at one place."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skinnybox import private
from skinnybox.errors import Conflict, of_system
from skinnybox.fleet.catalog.owner import process_mark

FILE = "serve.lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Conflict while another process serves the folder, naming that. What a killed one leaves blocks nobody:
    the kernel gives its lock back."""
    try:
        private.make_folder(folder)
        file = private.lock_file(folder / FILE)
    except OSError as error:
        raise of_system(error, str(folder)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _served(folder, file.read(200)) from error
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), process_mark().encode(), 0)
        yield
        os.ftruncate(file.fileno(), 0)


def _served(folder: Path, mark: bytes) -> Conflict:
    """Its owner's mark (catalog/owner.py) has the process; half written, nobody knows which."""
    words = mark.decode("ascii", "replace").split("/")
    who = f"process {words[1]}" if len(words) == 3 and words[1].isdigit() else "another process"
    return Conflict(
        f"{who} serves {folder} already", hint="end it first, or use it: `skinnybox token create` lets you in"
    )
