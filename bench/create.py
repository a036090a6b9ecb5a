"""Creating machines against creating linked clones: `python -m bench.create`.

One `skinnybox create` of many machines (names, overlay, seed, record; not started), against two peers: one
`qemu-img create -f qcow2 -b` for each, which gives a disk and nothing else; and that with a NoCloud seed made
for it (mkfs.vfat and mcopy of meta-data and user-data), which is what a clone needs to be a machine of its
own. In processor seconds of whole processes, the system's part included, in turn: others on this machine
lengthen the time of both, and that by little.

The floor is printed beside it: the same calls of the system and nothing else, from a loop of Python that
knows all bytes beforehand. For each machine a folder; a file without a name, its 1 GiB, the template's bytes
in so many writes, its name; the same for the record; and a row, inserted and confirmed in synced transactions
of a hundred. Less cannot be asked of the system without losing a promise: that a kill leaves no half overlay
and no half record under its name, and that the names are on the disk. What it takes one by one is printed,
since it is most of the whole: about 30 pages of an overlay alone, of which the copies of the superblock and
of the descriptors are a quarter. The command's own start, spread over the thousand, is printed as well: with
the floor it leaves little below MOST_EACH.

ext4 looks for an inode a long time where many were freed in the last minutes: on a disk where tests ran just
now the system's part is up to eight times as much, in the floor as well. A filesystem of its own is best:
SKINNYBOX_BENCH_FOLDER.

Durability of the two: a killed process loses nothing and leaves nothing unexplained; the names are in a
synced transaction, the overlays' bytes are in the page cache, as a linked clone's are.
"""

import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import bare_create
from bench.measure import Verdict, alternate, of_children, ratio, verdict
from bench.store import cpu, scratch, seal_something, skinnybox
from skinnybox.sizes import MIB, format_size

MACHINES = 1000
CLONES = 40
ROUNDS = 5
CASES = (("1 GiB, --sparse", 1024, ("--sparse",), 0.12), ("64 MiB, reserved", 64, (), 0.25))
MOST_OF_THE_DISK = 0.6
MOST_EACH = 0.30
"""Milliseconds of processor time for one of a thousand sparse ones, the command's start included."""
MOST_OF_A_SEEDED_CLONE = 0.04
_BATCHES = itertools.count()


def main() -> int:
    worst = Verdict.PROVEN
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        folder = Path(name)
        seal_something(folder)
        subprocess.run(["qemu-img", "create", "-q", "-f", "raw", folder / "base.img", "1G"], check=True)
        for title, mib, options, limit in CASES:
            worst = max(worst, _compare(folder, title, mib, options, limit))
        worst = max(worst, _against_all(folder), _idle_size(folder))
    return worst.code


def _compare(folder: Path, title: str, mib: int, options: tuple[str, ...], limit: float) -> Verdict:
    count = MACHINES
    if not options:
        count = min(MACHINES, int(shutil.disk_usage(folder).free * MOST_OF_THE_DISK) // (mib * MIB))
    ours = _ours(folder, count, mib, options)

    def theirs() -> float:
        return statistics.median(of_children(lambda: _clone(folder)) for _ in range(CLONES))

    ours()  # formats the template, and fills the caches of both
    theirs()
    ones, others = alternate(ours, theirs, ROUNDS)
    print(f"{count} of {title}: {statistics.median(ones) * 1000:.2f} ms each; "
          f"a linked clone: {statistics.median(others) * 1000:.2f} ms")  # fmt: skip
    return verdict(f"create, {title}, against a linked clone", ratio(ones, others), limit)


def _ours(folder: Path, count: int, mib: int, options: tuple[str, ...]) -> Callable[[], float]:
    """Makes so many more, and gives the processor seconds for one."""

    def act() -> float:
        prefix = f"m{mib}-{count}-{next(_BATCHES)}-"
        words = ["create", "-q", f"{prefix}{{1..{count}}}", "-m", "bench", "--overlay", f"{mib}M", *options]
        taken = cpu(folder, *words)
        # Those of no other call go with them: see above for what freed inodes cost.
        if not options:
            skinnybox(folder, "delete", "-q", "--yes", f"{prefix}*")
        return taken / count

    return act


def _against_all(folder: Path) -> Verdict:
    """A thousand sparse ones against a clone with its seed, against the floor, and against the clock."""
    ours = _ours(folder, MACHINES, 1024, ("--sparse",))
    bare = bare_create.calls(folder, 1024 * MIB)

    def others() -> tuple[float, ...]:
        seeded = statistics.median(of_children(lambda: _seeded(folder)) for _ in range(CLONES // 2))
        return seeded, bare(MACHINES)

    one, both = alternate(lambda: (ours(),), others, ROUNDS)
    ones, seeded, floor = [each for (each,) in one], [each[0] for each in both], [each[1] for each in both]
    for name, taken in bare_create.one_by_one(folder, 1024 * MIB).items():
        print(f"  {name:<42} {taken * 1e6:6.1f} us")
    alone = _ours(folder, 1, 1024, ("--sparse",))
    start = statistics.median(alone() for _ in range(ROUNDS)) / MACHINES
    print(f"{MACHINES} of 1 GiB, --sparse, ms each: {statistics.median(ones) * 1000:.3f}, of which the "
          f"command's start {start * 1000:.3f}; the bare calls {statistics.median(floor) * 1000:.3f}; a "
          f"linked clone with a NoCloud seed {statistics.median(seeded) * 1000:.2f}")  # fmt: skip
    print(f"{'create, against the bare calls':<44} {ratio(ones, floor)}")
    return max(
        verdict("create, ms of processor time each", ratio(ones, [1e-3] * len(ones)), MOST_EACH),
        verdict("create, against a clone with a seed", ratio(ones, seeded), MOST_OF_A_SEEDED_CLONE),
    )


def _clone(folder: Path) -> None:
    clone = folder / "clone.qcow2"
    clone.unlink(missing_ok=True)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", folder / "base.img", "-F", "raw", clone], check=True
    )


def _seeded(folder: Path) -> None:
    _clone(folder)
    seed, text = folder / "seed.img", time.monotonic_ns()
    seed.unlink(missing_ok=True)
    with seed.open("xb") as file:
        file.truncate(MIB)
    (folder / "meta-data").write_text(f"instance-id: bench-{text}\nlocal-hostname: bench-{text}\n")
    (folder / "user-data").write_text("#cloud-config\nssh_authorized_keys: []\n")
    subprocess.run(["mkfs.vfat", "-n", "CIDATA", seed], check=True, stdout=subprocess.DEVNULL)
    files = [folder / "meta-data", folder / "user-data"]
    subprocess.run(["mcopy", "-i", seed, *files, "::"], check=True)


def _idle_size(folder: Path) -> Verdict:
    """What a sparse machine takes before its first start, its record included."""
    skinnybox(folder, "delete", "-q", "--yes", "m*")
    skinnybox(folder, "create", "-q", "idle", "-m", "bench", "--overlay", "1G", "--sparse")
    files = [path for path in (folder / "state" / "instances").rglob("*") if path.is_file()]
    taken = sum(path.stat().st_blocks * 512 for path in files)
    said = Verdict.PROVEN if taken <= MIB else Verdict.BROKEN  # counted, not measured
    print(f"an idle 1 GiB --sparse machine takes {format_size(taken)}  limit 1.0M  {said}")
    return said


if __name__ == "__main__":
    sys.exit(main())
