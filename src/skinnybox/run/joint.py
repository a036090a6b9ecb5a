"""Several programs that do one piece of work between them."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from skinnybox.run.environment import find
from skinnybox.run.programs import STDERR_TAIL, Argv, check, missing, start, words_of

_POLL = 0.02
_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


def together(argvs: Sequence[Argv], *, cwd: Path | None = None, attend: Callable[[], None]) -> bytes:
    """Run them at once, to their ends; what they complained of, in their order. Blocks.

    The first that fails ends the others: CommandFailed. `attend` is called all the while, and what it raises
    ends them all. So does our end, however that comes: what they write is swept by the next command, and
    who goes on writing would bring it back.
    """
    for argv in argvs:
        if find(str(argv[0])) is None:
            raise missing(str(argv[0]))
    with ExitStack() as undo:
        said = [undo.enter_context(tempfile.TemporaryFile()) for _ in argvs]
        running = [
            undo.enter_context(start([*_WITH_US, *words_of(argv)], stderr=file, cwd=cwd))
            for argv, file in zip(argvs, said, strict=True)
        ]
        while None in (codes := [child.poll() for child in running]):
            _check(argvs, codes, said)
            attend()
            time.sleep(_POLL)
        _check(argvs, codes, said)
        return b"".join(_tail(file) for file in said)


def _check(argvs: Sequence[Argv], codes: Sequence[int | None], said: Sequence[BinaryIO]) -> None:
    for argv, code, file in zip(argvs, codes, said, strict=True):
        if code:
            check(words_of(argv), code, _tail(file), (0,))


def _tail(file: BinaryIO) -> bytes:
    size = file.seek(0, 2)
    file.seek(max(0, size - STDERR_TAIL))
    return file.read()
