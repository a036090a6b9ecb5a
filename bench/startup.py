"""Starting the command line, against starting Python: `python -m bench.startup`.

What a user would use instead is nothing: the question is what Skinnybox adds to an interpreter's start.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Verdict, alternate, ratio, seconds, verdict

PAIRS = 21
CASES: Sequence[tuple[str, Sequence[str], float]] = (
    ("--version", ("--version",), 2),
    ("completion of a name", ("__complete", "machines"), 4),
    ("list, no machines", ("list",), 12),
    ("master list", ("master", "list"), 12),
    ("an error: show of an unknown name", ("show", "nothing"), 12),
    ("--help", ("--help",), 12),
)


def main() -> int:
    command = shutil.which("skinnybox", path=str(Path(sys.executable).parent))
    if command is None:
        sys.exit("startup: skinnybox is not installed beside this Python")
    worst = Verdict.PROVEN
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([command, "list"], env=_environment(folder), capture_output=True, check=True)
        for name, words, limit in CASES:
            ones, others = alternate(
                lambda words=words: seconds(lambda: _quietly([command, *words], folder)),  # type: ignore[misc]
                lambda: seconds(lambda: _quietly([sys.executable, "-I", "-c", "pass"], folder)),
                PAIRS,
            )
            worst = max(worst, verdict(name, ratio(ones, others), limit))
    return worst.code


def _quietly(argv: Sequence[str], folder: str) -> None:
    subprocess.run(argv, env=_environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _environment(folder: str) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin:/usr/sbin",
        "HOME": folder,
        "SKINNYBOX_STATE": f"{folder}/state",
    }


if __name__ == "__main__":
    sys.exit(main())
