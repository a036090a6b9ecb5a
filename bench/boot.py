"""Booting a thin machine against a linked clone of the same guest: `python -m bench.boot`. Needs root.

The same packages, kernel, processor and devices, by turns. The linked clone is qcow2 over a plain ext4 disk
whose initramfs holds as few modules as ours does. Each is measured at a start that is not its first, in
time and in what its QEMU takes of the processors; both first starts are told for the record, of which the
thin machine's makes its identity and applies its seed, and the clone's had that made beforehand. A machine
is up when a unit that comes after sshd says so on the console: whoever asked the forwarded port again and
again would leave sshd a queue of connections to work off first.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.clone import RECIPE, SAYS, is_up, linked_clone, make_base
from bench.measure import alternate, processor_seconds, ratio, until, verdict
from bench.usual import make_usual, usual_clone
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.model import Allocation, Network, Overlay
from skinnybox.sizes import GIB, MIB

PAIRS = int(os.environ.get("SKINNYBOX_BENCH_PAIRS", "9"))
MOST_SECONDS = 300.0
LIMIT, USUAL = 0.9, 3
SPECIFICATION = Specification(
    overlay=Overlay(size=GIB, allocation=Allocation.SPARSE),
    memory=512 * MIB,
    cpus=1,
    network=Network.RESTRICTED,
)


class Boot(NamedTuple):
    """Seconds, of the clock and of processors, from the start of QEMU until the guest is up."""

    clock: float
    processor: float


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
        _tell("the thin machine's first start, with seed and host keys", [_thin(fleet)])
        _tell("the linked clone's first start", [_clone(folder, again=False)])
        thin, clone = alternate(lambda: _thin(fleet), lambda: _clone(folder, again=True), PAIRS)
    finally:
        fleet.delete(["bench-boot"], force=True)
    _tell("thin", thin)
    _tell("linked clone", clone)
    _tell_usual(folder, thin)
    said = [
        verdict(f"boot to ready, {what}, against a linked clone", ratio(ones, others), LIMIT)
        for what, ones, others in (
            ("time", [boot.clock for boot in thin], [boot.clock for boot in clone]),
            ("processors", [boot.processor for boot in thin], [boot.processor for boot in clone]),
        )
    ]
    return max(said).code


def _tell_usual(folder: Path, thin: Sequence[Boot]) -> None:
    """Beside it, and without a limit: what people really run (see usual.py)."""
    make_usual(folder)
    first, *usual = [_usual(folder, again=number > 0) for number in range(USUAL + 1)]
    _tell("Debian's whole kernel, GRUB and cloud-init, first start", [first])
    _tell("Debian's whole kernel, GRUB and cloud-init", usual)
    share = statistics.median(boot.processor for boot in thin) / statistics.median(b.processor for b in usual)
    print(f"thin against that: {share:.2f} of its processor seconds")


def _tell(name: str, boots: Sequence[Boot]) -> None:
    for what, taken in (("s", [boot.clock for boot in boots]), ("CPU s", [boot.processor for boot in boots])):
        between = f" ({min(taken):.1f} to {max(taken):.1f})" if len(taken) > 1 else ""
        print(f"{name}: {statistics.median(taken):.1f} {what}{between}")


def _thin(fleet: Fleet) -> Boot:
    begun = time.monotonic()
    started = fleet.start(["bench-boot"], wait=False)[0]
    if started.error:
        raise started.error
    taken = until(lambda: SAYS in fleet.console_log("bench-boot"), begun, MOST_SECONDS)
    status = fleet.machine("bench-boot").status
    assert status is not None and status.pid is not None
    found = Boot(taken, processor_seconds(status.pid))
    stopped = fleet.stop(["bench-boot"], Stopping(timeout=MOST_SECONDS))[0]
    if stopped.error:
        raise stopped.error
    return found


def _clone(folder: Path, *, again: bool) -> Boot:
    begun = time.monotonic()
    machine = linked_clone(folder, "clone", memory=SPECIFICATION.memory, again=again, off=True)
    return _measured(folder, "clone", machine, begun)


def _usual(folder: Path, *, again: bool) -> Boot:
    begun = time.monotonic()
    machine = usual_clone(folder, memory=SPECIFICATION.memory, again=again)
    return _measured(folder, "usual", machine, begun)


def _measured(folder: Path, name: str, machine: "subprocess.Popen[bytes]", begun: float) -> Boot:
    """It powers off by itself."""
    try:
        taken = until(lambda: is_up(folder, name), begun, MOST_SECONDS)
        found = Boot(taken, processor_seconds(machine.pid))
        machine.wait(MOST_SECONDS)
        return found
    finally:
        machine.kill()
        machine.wait()


if __name__ == "__main__":
    sys.exit(main())
