"""Importing and sealing a tree, against mkfs.erofs alone of it: `python -m bench.sealing`. Needs root.

What nobody can do without is what mkfs.erofs takes for the same Debian system, asked for lz4hc and no more:
its time, and its processor seconds, which hold on a machine that does other things as well. The rest is ours:
an import's look at all of the tree before and after, the guest part, the initramfs, the index with every
file's digest, the image's digest, and that all of it is on the disk. Sealing itself asks for larger clusters
where the master's kernel reads them, and mkfs.erofs then takes about 0.8 of that time: it may be below 1.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.measure import Verdict, alternate, of_all, ratio, seconds, verdict
from bench.store import scratch
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.masters import erofs, imports
from skinnybox.masters.kernel import find_kernel
from skinnybox.masters.seal import seal
from skinnybox.masters.survey import survey
from skinnybox.model import ImageKind
from skinnybox.operation import Operation

PAIRS = int(os.environ.get("SKINNYBOX_BENCH_PAIRS", "9"))
LIMIT = 1.3


def main() -> int:
    if os.geteuid():
        sys.exit("bench.sealing: a copy that keeps a tree's owners needs root")
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        folder = Path(name)
        tree = _tree(folder)
        store = folder / "store"
        sealed = _compare("seal", lambda: _seal(tree, store), tree, folder)
        imported = _compare("import of a directory", lambda: _import(tree, store), tree, folder)
    return max(sealed, imported).code


def _tree(folder: Path) -> Path:
    """A Debian system of this host's release, or the one that SKINNYBOX_BENCH_TREE names: it is only read."""
    named = os.environ.get("SKINNYBOX_BENCH_TREE")
    if named:
        return Path(named)
    with open_fleet(Settings(state=folder / "state")) as fleet:
        master = fleet.masters.build("bench:1")
        image = fleet.masters.folder(master) / master.images[0].file
    subprocess.run(["fsck.erofs", f"--extract={folder / 'tree'}", "--preserve", image], check=True)
    return folder / "tree"


def _compare(name: str, act: Callable[[], None], tree: Path, folder: Path) -> Verdict:
    newest = survey(tree).newest
    alone = folder / "alone.erofs"

    def image() -> None:
        erofs.make(tree, alone, ImageKind.EROFS_LZ4HC, newest=newest, operation=Operation())

    def timed(what: Callable[[], None]) -> tuple[float, float]:
        processor: list[float] = []
        taken = seconds(lambda: processor.append(of_all(what)))
        alone.unlink(missing_ok=True)
        shutil.rmtree(folder / "store", ignore_errors=True)
        os.sync()  # what one left to be written is not to slow the other
        return taken, processor[0]

    ours, theirs = alternate(lambda: timed(act), lambda: timed(image), PAIRS)
    worst = Verdict.PROVEN
    for what, unit, at in (("time", "s", 0), ("processors", "CPU s", 1)):
        one, other = [each[at] for each in ours], [each[at] for each in theirs]
        print(f"{name}: {statistics.median(one):.1f} {unit}, mkfs.erofs alone "
              f"{statistics.median(other):.1f} {unit}")  # fmt: skip
        worst = max(worst, verdict(f"{name}, {what}, against mkfs.erofs alone", ratio(one, other), LIMIT))
    return worst


def _seal(tree: Path, store: Path) -> None:
    seal(tree, store=store, name="x", version="1", kernel=find_kernel(tree), operation=Operation())


def _import(tree: Path, store: Path) -> None:
    imports.import_tree(
        tree, store=store, name="x", version="1", as_is=False, kernel=None, initrd=None, operation=Operation()
    )


if __name__ == "__main__":
    sys.exit(main())
