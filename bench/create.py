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
of the descriptors are a quarter. The command's own start, spread over the thousand, is printed as well, and
judged by startup.py. The first aim was 0.30 ms, 0.04 of a clone with its seed: the bare calls and the start
alone are more than that (0.22 and 0.25 ms). So what is judged is what we add to the bare calls, and the whole
against a clone.

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
CASES = (("1 GiB, --sparse", 1024, ("--sparse",), 0.12), ("32 MiB, reserved", 32, (), 0.25))
MOST_OF_THE_DISK = 0.6
FEWEST = 500
"""Of fewer the command's own start is most of what each costs: that is no figure of an overlay."""
MOST_OF_THE_BARE = 2.5
"""Processor time for one of a thousand sparse ones, the command's start left out, against the bare calls."""
MOST_OF_A_SEEDED_CLONE = 0.1
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
    if count < FEWEST:
        print(f"{title}: there is room for {count}, and {FEWEST} are the fewest: not judged")
        return Verdict.OPEN
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
    """A thousand sparse ones against a clone with its seed, and against the floor."""
    many, alone = _ours(folder, MACHINES, 1024, ("--sparse",)), _ours(folder, 1, 1024, ("--sparse",))
    bare = bare_create.calls(folder, 1024 * MIB)

    def others() -> tuple[float, float]:
        seeded = statistics.median(of_children(lambda: _seeded(folder)) for _ in range(CLONES // 2))
        return seeded, bare(MACHINES)

    one, both = alternate(lambda: (many(), alone() / MACHINES), others, ROUNDS)
    ones, starts = (list(column) for column in zip(*one, strict=True))
    seeded, floor = (list(column) for column in zip(*both, strict=True))
    for name, taken in bare_create.one_by_one(folder, 1024 * MIB).items():
        print(f"  {name:<42} {taken * 1e6:6.1f} us")
    print(f"{MACHINES} of 1 GiB, --sparse, ms each: {_ms(ones)}, of which the command's start {_ms(starts)}; "
          f"the bare calls {_ms(floor)}; a linked clone with a NoCloud seed {_ms(seeded)}")  # fmt: skip
    ours = [whole - start for whole, start in zip(ones, starts, strict=True)]
    return max(
        verdict("create but its start, against the bare calls", ratio(ours, floor), MOST_OF_THE_BARE),
        verdict("create, against a clone with a seed", ratio(ones, seeded), MOST_OF_A_SEEDED_CLONE),
    )


def _ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.3f}"


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
