"""Programs of a tree that is to be sealed, run with nothing around them but that tree: see enclosed.py."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from skinnybox import run
from skinnybox.errors import Unsupported
from skinnybox.run.programs import STDERR_TAIL
from skinnybox.sandbox.enclosed import ALONE, NETWORK, NOT_EXECUTED

NOT_BEGUN = 125
_RUN = "import sys; sys.path.append(sys.argv.pop(1)); from skinnybox.sandbox.enclosed import main; main()"
_PACKAGES = Path(__file__).parent.parent.parent
_NAP = 0.2
_NO_PROGRAM = "it takes a tree with a shell, and what that is told to run"
_NO_NAMESPACE = "they run in a user namespace: does this kernel, or this container, allow those?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """A private tree. `network`: its programs have ours, with the addresses of this computer, and are told
    the way out; else none. `environment` is all else that they get of it."""

    tree: Path
    network: bool
    environment: Mapping[str, str]


def run_in(
    around: Enclosure, argv: Sequence[str], attend: Callable[[], None], *, stdin: IO[bytes] | None = None
) -> tuple[int, str]:
    """The exit code, and the end of what it said. It and all that it left running have ended then.

    `attend` is called several times a second, and what it raises kills them; so does the end of this process,
    however that comes. For root, of this machine or of a namespace. Unsupported where the kernel gives no
    namespaces."""
    words = [
        sys.executable, "-I", "-S", "-c", _RUN, str(_PACKAGES), str(around.tree),
        NETWORK if around.network else ALONE, *argv,
    ]  # fmt: skip
    keep = run.FETCHING if around.network else run.NOTHING
    with (
        tempfile.TemporaryFile() as said,
        run.start(
            run.with_us(words), stdin=stdin, stdout=said, stderr=run.STDOUT, keep=keep, env=around.environment
        ) as child,
    ):
        code = _ended(child, attend)
        size = said.seek(0, os.SEEK_END)
        said.seek(max(0, size - STDERR_TAIL))
        tail = said.read().decode("utf-8", "replace").strip()
    if code == NOT_BEGUN:
        raise Unsupported(
            f"programs of the tree cannot be run: {tail or 'nobody says why'}"[:500],
            hint=_NO_PROGRAM if NOT_EXECUTED in tail else _NO_NAMESPACE,
        )
    return code, tail


def _ended(child: run.Child, attend: Callable[[], None]) -> int:
    while True:
        attend()
        try:
            return child.wait(timeout=_NAP)
        except run.Overdue:
            continue
