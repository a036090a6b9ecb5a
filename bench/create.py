"""Creating machines against creating linked clones: `python -m bench.create`.

One `skinnybox create` of many machines (names, overlay, seed, record; not started), against one
`qemu-img create -f qcow2 -b` for each, which gives a disk and nothing else. Whole processes, in turn.

Durability of the two: a killed process loses nothing and leaves nothing unexplained; the names are in a
synced transaction, the overlays' bytes are in the page cache, as a linked clone's are.
"""

import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import Verdict, alternate, ratio, seconds, verdict
from bench.store import scratch, seal_something, skinnybox
from skinnybox.sizes import MIB, format_size

MACHINES = 1000
CLONES = 40
ROUNDS = 5
CASES = (("1 GiB, --sparse", 1024, ("--sparse",), 0.12), ("64 MiB, reserved", 64, (), 0.25))
MOST_OF_THE_DISK = 0.6


def main() -> int:
    worst = Verdict.PROVEN
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        folder = Path(name)
        seal_something(folder)
        subprocess.run(["qemu-img", "create", "-q", "-f", "raw", folder / "base.img", "1G"], check=True)
        for title, mib, options, limit in CASES:
            worst = max(worst, _compare(folder, title, mib, options, limit))
        worst = max(worst, _idle_size(folder))
    return worst.code


def _compare(folder: Path, title: str, mib: int, options: tuple[str, ...], limit: float) -> Verdict:
    count = MACHINES
    if not options:
        count = min(MACHINES, int(shutil.disk_usage(folder).free * MOST_OF_THE_DISK) // (mib * MIB))

    batch = itertools.count()

    def ours() -> float:
        names = f"m{next(batch)}-{{1..{count}}}"
        words = ["create", "-q", names, "-m", "bench", "--overlay", f"{mib}M", *options]
        taken = seconds(lambda: skinnybox(folder, *words))
        # ext4 takes long to give out an inode where many were freed in the last minutes: keep what fits.
        if not options:
            skinnybox(folder, "delete", "-q", "--yes", "m*")
        return taken / count

    def theirs() -> float:
        return statistics.median(seconds(lambda: _clone(folder)) for _ in range(CLONES))

    ours()  # formats the template, and fills the caches of both
    theirs()
    ones, others = alternate(ours, theirs, ROUNDS)
    if options:
        skinnybox(folder, "delete", "-q", "--yes", "m*")
    print(f"{count} of {title}: {statistics.median(ones) * 1000:.2f} ms each; "
          f"a linked clone: {statistics.median(others) * 1000:.2f} ms")  # fmt: skip
    return verdict(f"create, {title}, against a linked clone", ratio(ones, others), limit)


def _clone(folder: Path) -> None:
    clone = folder / "clone.qcow2"
    clone.unlink(missing_ok=True)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", folder / "base.img", "-F", "raw", clone], check=True
    )


def _idle_size(folder: Path) -> Verdict:
    """What a sparse machine takes before its first start, its record included."""
    skinnybox(folder, "create", "-q", "idle", "-m", "bench", "--overlay", "1G", "--sparse")
    files = [path for path in (folder / "state" / "instances").rglob("*") if path.is_file()]
    taken = sum(path.stat().st_blocks * 512 for path in files)
    said = Verdict.PROVEN if taken <= MIB else Verdict.BROKEN  # counted, not measured
    print(f"an idle 1 GiB --sparse machine takes {format_size(taken)}  limit 1.0M  {said}")
    return said


if __name__ == "__main__":
    sys.exit(main())
