"""Starting the command line, against starting Python: `python -m bench.startup`.

What a user would use instead is nothing: the question is what Skinnybox adds to an interpreter's start. A
start is the processor time of `python -I -c pass`, of the same Python; everything else is counted in those.

Before each limit of what most people wait for stands its floor: the same Python that imports what the command
imports of Python's own library, and nothing of ours. The first aim for `create` was five starts. Its floor is
more than three, and of the rest a third is the work itself: claiming a name, a disk, a record, two jobs'
commits. So what is judged of it is what it has come to; `list` is held to its first aim, which is six.
"""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Ratio, Verdict, alternate, of_children, ratio, verdict
from bench.store import scratch, seal_something

PAIRS = 21
MACHINES = 10
CREATE = ("create", "{new}", "-m", "bench", "--sparse")
CASES: Sequence[tuple[str, Sequence[str], float]] = (
    ("--version", ("--version",), 2),
    ("completion of a name", ("__complete", "machines"), 3.5),
    ("list, no machines", ("--state", "{empty}", "list"), 6),
    (f"list, {MACHINES} machines", ("list",), 6),
    ("show", ("show", "m-1"), 7),
    ("master list", ("master", "list"), 7),
    ("create, one machine", CREATE, 8.5),
    ("an error: show of an unknown name", ("show", "nothing"), 7),
    ("start --help", ("start", "--help"), 6),
    ("--help", ("--help",), 12),
)
FLOORS = {"list, no machines", "create, one machine"}

_IMPORTED = """
import atexit, sys
from skinnybox.__main__ import run_process
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
run_process()
"""
_NEW = itertools.count()


def main() -> int:
    worst = Verdict.PROVEN
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        folder = Path(name)
        seal_something(folder)
        _run([*_skinnybox(), "create", "-q", f"m-{{1..{MACHINES}}}", "-m", "bench", "--sparse"], folder)
        for title, words, limit in CASES:
            if title in FLOORS:
                print(f"{title}: its part of Python's library alone, {_floor(words, folder)}")
            worst = max(worst, verdict(title, _starts([*_skinnybox(), *words], folder), limit))
    return worst.code


def _starts(argv: Sequence[str], folder: Path) -> Ratio:
    _run(argv, folder)  # what is compiled, or made for the first of its kind, is there then
    return ratio(
        *alternate(
            lambda: of_children(lambda: _run(argv, folder)),
            lambda: of_children(lambda: _run([sys.executable, "-I", "-c", "pass"], folder)),
            PAIRS,
        )
    )


def _floor(words: Sequence[str], folder: Path) -> Ratio:
    """Of what this command has imported when it ends, all that is Python's, in the same order."""
    told = _run([sys.executable, "-I", "-c", _IMPORTED, *words], folder).stderr.decode().split()
    library = [name for name in told if name.partition(".")[0] in sys.stdlib_module_names]
    return _starts([sys.executable, "-I", "-c", f"import {', '.join(library)}"], folder)


def _skinnybox() -> list[str]:
    command = Path(sys.executable).with_name("skinnybox")
    if not command.is_file():
        sys.exit("startup: skinnybox is not installed beside this Python")
    return [str(command)]


def _run(argv: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[bytes]":
    """In words, `{new}` is a name that no machine has, and `{empty}` a state folder without any."""
    said = {"{new}": f"new-{next(_NEW)}", "{empty}": str(folder / "empty")}
    environment = {
        "PATH": "/usr/bin:/bin:/usr/sbin", "HOME": str(folder), "SKINNYBOX_STATE": str(folder / "state"),
    }  # fmt: skip
    return subprocess.run([said.get(word, word) for word in argv], env=environment, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
