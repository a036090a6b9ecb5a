"""Booting a thin machine against a linked clone of the same guest: `python -m bench.boot`. Needs root.

The same packages, kernel, processor and devices, by turns. The linked clone is qcow2 over a plain ext4 disk
whose initramfs holds as few modules as ours does, and its identity was made beforehand; the thin machine is
measured at a start where its identity exists too, and once more, for the record, at its first. Both are up
when a unit that comes after sshd says so on the console: whoever asked the forwarded port again and again
would leave sshd a queue of connections to work off first.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.clone import RECIPE, SAYS, is_up, linked_clone, make_base
from bench.measure import alternate, ratio, until, verdict
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.model import Allocation, Network, Overlay
from skinnybox.sizes import GIB, MIB

PAIRS = int(os.environ.get("SKINNYBOX_BENCH_PAIRS", "9"))
MOST_SECONDS = 300.0
SPECIFICATION = Specification(
    overlay=Overlay(size=GIB, allocation=Allocation.SPARSE),
    memory=512 * MIB,
    cpus=1,
    network=Network.RESTRICTED,
)


def main() -> int:
    if os.geteuid():
        sys.exit("bench.boot: an ext4 disk with a tree's owners needs root")
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        with open_fleet(Settings(state=folder / "state")) as fleet:
            return _compare(fleet, folder)


def _compare(fleet: Fleet, folder: Path) -> int:
    (folder / "recipe.yaml").write_text(RECIPE)
    master = fleet.masters.build("bench:1", folder / "recipe.yaml")
    make_base(fleet.masters.folder(master), folder)
    fleet.create(["bench-boot"], master.reference, SPECIFICATION)
    try:
        print(f"the thin machine's first start, with seed and host keys: {_thin(fleet):.1f} s")
        thin, clone = alternate(lambda: _thin(fleet), lambda: _clone(folder), PAIRS)
    finally:
        fleet.delete(["bench-boot"], force=True)
    for name, taken in (("thin", thin), ("linked clone", clone)):
        print(f"{name}: {statistics.median(taken):.1f} s ({min(taken):.1f} to {max(taken):.1f})")
    return verdict("boot to ready, against a linked clone", ratio(thin, clone), 1.0).code


def _thin(fleet: Fleet) -> float:
    begun = time.monotonic()
    started = fleet.start(["bench-boot"], wait=False)[0]
    if started.error:
        raise started.error
    taken = until(lambda: SAYS in fleet.console_log("bench-boot"), begun, MOST_SECONDS)
    stopped = fleet.stop(["bench-boot"], Stopping(timeout=MOST_SECONDS))[0]
    if stopped.error:
        raise stopped.error
    return taken


def _clone(folder: Path) -> float:
    begun = time.monotonic()
    machine = linked_clone(folder, "clone", memory=SPECIFICATION.memory)
    try:
        return until(lambda: is_up(folder, "clone"), begun, MOST_SECONDS)
    finally:
        machine.kill()
        machine.wait()


if __name__ == "__main__":
    sys.exit(main())
