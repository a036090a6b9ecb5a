"""Reading 100,000 changes from an overlay, against walking the same files: `python -m bench.changes`.

What a user would do instead, had he the files on a disk of his own: os.walk with lstat of each. Ours reads
the guest's filesystem from outside, in a confined process, and joins it with the master's index. A fifth of
the files are in the master, most of these unchanged in size, so that their content is hashed as well.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import alternate, ratio, seconds, verdict
from bench.store import scratch
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.masters import imports
from skinnybox.model import Allocation, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import GIB

MANY, FEW = 100_000, 10_000
PER_FOLDER, IN_MASTER = 100, 5
ROUNDS = 5
MEMORY_LIMIT = 1.25


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        many, few = (_prepared(Path(name, str(count)), count) for count in (MANY, FEW))
        peaks: dict[Path, list[int]] = {many: [], few: []}

        def changes(folder: Path) -> float:
            found = _in_a_process(folder)
            if found["count"] < int(folder.name):
                sys.exit(f"changes found {found['count']} of {folder.name}")
            peaks[folder].append(found["peak"])
            return float(found["seconds"])

        ours, walks = alternate(lambda: changes(many), lambda: seconds(lambda: _walk(many / "upper")), ROUNDS)
        for _ in range(ROUNDS):
            changes(few)
        print(f"{MANY} entries: {min(ours):.2f} s, walked in {min(walks):.2f} s")
        speed = verdict("changes against os.walk with lstat", ratio(ours, walks), 15)
        print(f"peak memory: {peaks[many][0] >> 10} MiB for {MANY}, {peaks[few][0] >> 10} MiB for {FEW}")
        memory = verdict("memory, 100,000 against 10,000", ratio(peaks[many], peaks[few]), MEMORY_LIMIT)
    return max(speed, memory).code


def _walk(tree: Path) -> int:
    count = 0
    for folder, folders, files in os.walk(tree):
        for item in (*folders, *files):
            os.lstat(os.path.join(folder, item))  # noqa: PTH118 (the quickest there is)
            count += 1
    return count


def _prepared(folder: Path, count: int) -> Path:
    """`folder`/upper with `count` files, and in `folder`/state a machine that has them."""
    master, upper = folder / "master", folder / "disk" / "upper"
    for number in range(count):
        place = f"srv/{number // PER_FOLDER:04}/{number:06}"
        _write(upper / place, b"x" * 40)
        if number % IN_MASTER == 0:
            _write(master / place, b"y" * (40 if number % 2 else 20))
    _write(master / "etc" / "os-release", b"PRETTY_NAME=bench\n")
    for name in ("kernel", "initrd"):
        (folder / name).write_bytes(name.encode())
    imports.import_tree(
        master, store=folder / "state" / "masters", name="bench", version="1", as_is=True,
        kernel=folder / "kernel", initrd=folder / "initrd", operation=Operation(), allow_foreign=True,
    )  # fmt: skip
    overlay = Overlay(size=2 * GIB, allocation=Allocation.SPARSE)
    with open_fleet(Settings(state=folder / "state")) as fleet:
        (made,) = fleet.create(["m"], "bench", Specification(overlay=overlay, memory=GIB, cpus=1))
    image = folder / "state" / "instances" / str(made.uuid) / "overlay.img"
    image.unlink()
    _format(image, folder / "disk", inodes=2 * count)
    upper.rename(folder / "upper")
    return folder


def _format(image: Path, contents: Path, *, inodes: int) -> None:
    argv: list[str | Path] = [
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        "skinny-overlay",
        "-d",
        contents,
        "-N",
        str(inodes),
    ]
    subprocess.run([*argv, image, "2G"], check=True, stdout=subprocess.DEVNULL)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _in_a_process(folder: Path) -> dict[str, int]:
    argv = [sys.executable, "-m", "bench.changes", "--one", str(folder)]
    found: dict[str, int] = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return found


def _one(folder: Path) -> None:
    """Time it here, and say the largest of this process and those it started, in KiB."""
    with open_fleet(Settings(state=folder / "state")) as fleet:
        count = 0

        def all_of_it() -> None:
            nonlocal count
            with fleet.overlays.changes("m") as found:
                count = sum(1 for _ in found)

        taken = seconds(all_of_it)
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({"seconds": taken, "peak": max(peaks), "count": count}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(Path(sys.argv[2]))
    else:
        sys.exit(main())
