"""A program that writes an image beside us, watched."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from skinnybox import run
from skinnybox.errors import SkinnyboxError
from skinnybox.operation import Operation

_POLL = 0.02
_MOST_SAID = 4000

Failure = Callable[[int, str], SkinnyboxError]
"""From the program's exit code, and the end of what it said."""


@contextlib.contextmanager
def writing(
    argv: run.Argv, image: Path, failure: Failure, operation: Operation, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """It runs beside the block, and has ended well when that has been left without an error."""
    with tempfile.TemporaryFile() as said:
        with run.start(argv, stdout=said, stderr=said, env=env) as child:
            yield
            while child.poll() is None:
                written = image.stat().st_size if image.exists() else 0
                operation.step(task="image", done=written, unit="bytes")
                time.sleep(_POLL)
        if child.returncode:
            said.seek(0)
            text = said.read()[-_MOST_SAID:].decode("utf-8", "replace").strip()
            raise failure(child.returncode, text)
