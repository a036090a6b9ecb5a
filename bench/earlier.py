"""Booting a thin machine against one of an earlier commit: `python -m bench.earlier COMMIT [COMMIT]`.

Each commit's own code builds a master from the same recipe, creates a machine and boots it; the second is the
working tree where it is not said. By turns, at starts that are not the first, in time and in what QEMU takes
of the processors (bench/boot.py, whose worker both have). More was put into a boot meanwhile, and none of it
may cost a plain machine anything: the limit is 1.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.boot import Boot
from bench.measure import alternate, ratio, verdict

PAIRS = int(os.environ.get("SKINNYBOX_BENCH_PAIRS", "11"))
LIMIT = 1.0
WORKER = """
import json, sys
from pathlib import Path
from bench.boot import SPECIFICATION, _thin
from bench.clone import RECIPE
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
folder = Path(sys.argv[1])
(folder / "recipe.yaml").write_text(RECIPE)
with open_fleet(Settings(state=folder / "state")) as fleet:
    master = fleet.masters.build("bench:1", folder / "recipe.yaml")
    fleet.create(["bench-boot"], master.reference, SPECIFICATION)
    for _ in sys.stdin:
        print(json.dumps(_thin(fleet)), flush=True)
    fleet.delete(["bench-boot"], force=True)
"""
"""Python of either commit: a boot for each line that it reads."""


def main() -> int:
    root = Path(__file__).parents[1]
    commits = sys.argv[1:]
    if len(commits) not in (1, 2):
        sys.exit("bench.earlier: which commit? (python -m bench.earlier COMMIT [COMMIT])")
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir="/var/tmp") as name, ExitStack() as ends:
        folder = Path(name)
        earlier = ends.enter_context(_machine(_tree(root, commits[0], folder / "earlier"), folder / "one"))
        later = _tree(root, commits[1], folder / "later") if len(commits) == 2 else root
        now = ends.enter_context(_machine(later, folder / "other"))
        for worker in (now, earlier):
            _boot(worker)  # the first start, which applies the seed
        ones, others = alternate(lambda: _boot(now), lambda: _boot(earlier), PAIRS)
    said = [
        verdict(
            f"boot to ready, {what}, against {commits[0]}",
            ratio([getattr(boot, what) for boot in ones], [getattr(boot, what) for boot in others]),
            LIMIT,
        )
        for what in Boot._fields
    ]
    return max(said).code


def _tree(root: Path, commit: str, folder: Path) -> Path:
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=root, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    return folder


@contextmanager
def _machine(tree: Path, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """The program of that tree with one machine in `folder`."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{tree / 'src'}:{tree}"}
    words: list[str | Path] = [sys.executable, "-c", WORKER, folder]
    with subprocess.Popen(
        words, cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        yield worker


def _boot(worker: "subprocess.Popen[str]") -> Boot:
    assert worker.stdin is not None and worker.stdout is not None
    print(file=worker.stdin, flush=True)
    return Boot(*json.loads(worker.stdout.readline()))


if __name__ == "__main__":
    sys.exit(main())
