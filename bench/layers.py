"""What layers cost: a machine's boot with 0, 1, 4 and 16 of them, and forty machines' bytes on the disk.

`python -m bench.layers`. The guest is the smallest there is (small.py), so that a layer counts for as much of
a boot as it ever can. Boots are in turn; told are the medians of seconds by the clock and of processor
seconds of QEMU from its start until the machine is ready, not at its first start, and what each layer adds.
"""

import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench import small
from bench.measure import processor_seconds
from bench.store import scratch
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.masters import imports
from skinnybox.model import Allocation, Network, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import MIB, format_size

COUNTS = (0, 1, 4, 16)
TURNS = int(os.environ.get("SKINNYBOX_BENCH_PAIRS", "3"))
MACHINES, SITE = 40, 200 * MIB
WANTED = Specification(
    overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE), memory=192 * MIB, network=Network.RESTRICTED
)
_PATIENCE = 600.0


class Boot(NamedTuple):
    """Seconds until it is ready."""

    clock: float
    processor: float


def main() -> int:
    if os.geteuid():
        sys.exit("bench.layers: trees that keep their owners need root")
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        folder = Path(name)
        _seal(folder)
        with open_fleet(Settings(state=folder / "state", reach=False)) as fleet:
            _layers(fleet, folder)
            _tell_room(fleet, folder)
            _tell_boots(fleet)
    return 0


def _seal(folder: Path) -> None:
    kernel, tree = small.kernel(folder), folder / "tree"
    small.fill(tree)
    small.put_modules(tree, kernel)
    imports.import_tree(
        tree, store=folder / "state" / "masters", name="bench", version="1", as_is=True,
        kernel=next(kernel.glob("boot/vmlinuz-*")), initrd=None, operation=Operation(),
    )  # fmt: skip


def _layers(fleet: Fleet, folder: Path) -> None:
    for number in range(max(COUNTS)):
        tree = folder / f"layer-{number}"
        (tree / "srv" / "site").mkdir(parents=True)
        (tree / "srv" / "site" / str(number)).write_text(f"{number}\n" * 1000)
        fleet.layers.import_tree(tree, f"layer-{number}:1", above="bench")
    site = folder / "site"
    site.mkdir()
    for number in range(SITE // MIB):  # text, so that to compress it does not take minutes
        (site / f"{number}.txt").write_text("".join(f"{number} {line}\n" for line in range(MIB // 8)))
    fleet.layers.import_tree(site, "site:1", above="bench", at="/srv/www/widgets.com")


def _tell_room(fleet: Fleet, folder: Path) -> None:
    """What is allocated, before any has started: the site is there once."""
    names = [f"fleet-{number}" for number in range(MACHINES)]
    fleet.create(names, "bench", replace(WANTED, layers=("site",)))
    layer = fleet.layers.find("site")
    image = sum(file.stat().st_blocks * 512 for file in fleet.layers.folder(layer).iterdir())
    overlays = sum(file.stat().st_blocks * 512 for file in folder.glob("state/instances/*/*"))
    print(f"{MACHINES} machines with a site of {format_size(layer.tree_size)}:", end=" ")
    print(f"{format_size(image)} for the layer, {format_size(overlays)} for all their own files")
    print(f"in each of them: {format_size(MACHINES * layer.tree_size)}")
    fleet.delete(names)


def _tell_boots(fleet: Fleet) -> None:
    for count in COUNTS:
        layers = tuple(f"layer-{number}" for number in range(count))
        fleet.create([f"with-{count}"], "bench", replace(WANTED, layers=layers))
        _boot(fleet, f"with-{count}")
    found: dict[int, list[Boot]] = {count: [] for count in COUNTS}
    for turn in range(TURNS):
        for count in COUNTS if turn % 2 else COUNTS[::-1]:
            found[count].append(_boot(fleet, f"with-{count}"))
    none = statistics.median(boot.processor for boot in found[0])
    for count, boots in found.items():
        clock, processor = (statistics.median(boot[part] for boot in boots) for part in (0, 1))
        each = f", {1000 * (processor - none) / count:.0f} ms of it for each" if count else ""
        print(f"{count:2} layers: ready after {clock:.2f} s, {processor:.2f} s of processors{each}")
    fleet.delete([f"with-{count}" for count in COUNTS], force=True)


def _boot(fleet: Fleet, name: str) -> Boot:
    begun = time.monotonic()
    [outcome] = fleet.start([name], timeout=_PATIENCE)
    if outcome.error is not None:
        raise outcome.error
    clock = time.monotonic() - begun
    status = fleet.machine(name).status
    assert status is not None and status.pid is not None
    processor = processor_seconds(status.pid)
    fleet.kill([name])
    return Boot(clock=clock, processor=processor)


if __name__ == "__main__":
    sys.exit(main())
