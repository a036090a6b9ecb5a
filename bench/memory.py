"""What sharing a master's pages saves: `python -m bench.memory`. Needs root.

In a guest: how much page cache reading all of /usr leaves, with DAX and from a disk. Counted is by how much
`Cached` and `Buffers` of /proc/meminfo grow, from just after drop_caches: pages of files and, in Buffers,
what the kernel reads of the disk for itself. Limit: 5 %.

On the host: the memory of eight idle guests as the sum of PSS, which divides every shared page among those
who share it, printed for machines with DAX, for machines on a compressed disk, and for linked clones. It is
printed by what it is for: emulated guests (TCG) each keep up to 128 MiB of translated code, which has
nothing to do with their disks. What the host caches of the images' files is printed beside it: it is not in
the PSS of who reads a disk, and is there once however many read it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.clone import RECIPE, is_up, linked_clone, make_base
from bench.measure import Verdict, processor_seconds, ratio, until, verdict
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.model import Allocation, Network, Overlay
from skinnybox.sizes import GIB, MIB, format_size

ROUNDS = 5
GUESTS = int(os.environ.get("SKINNYBOX_BENCH_GUESTS", "8"))
AT_ONCE = 2
LIMIT = 0.05
MOST_SECONDS = 600.0
IDLE = 0.08
"""Processors a guest keeps busy at most to be called idle: one that is emulated is never still."""
SPECIFICATION = Specification(
    overlay=Overlay(size=GIB, allocation=Allocation.SPARSE),
    memory=384 * MIB,
    cpus=1,
    network=Network.RESTRICTED,
)
READ = """
kept() { awk '$1 == "Cached:" || $1 == "Buffers:" { sum += $2 } END { print sum }' /proc/meminfo; }
sync
echo 3 >/proc/sys/vm/drop_caches
before=$(kept)
find /usr -xdev -type f -print0 | xargs -0 cat | wc -c
echo $(($(kept) - before))
"""


def main() -> int:
    if os.geteuid():
        sys.exit("bench.memory: an ext4 disk with a tree's owners needs root")
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        with open_fleet(Settings(state=folder / "state")) as fleet:
            (folder / "recipe.yaml").write_text(RECIPE)
            fleet.masters.build("bench:1", folder / "recipe.yaml", dax=True)
            found = _guest(fleet)
            _host(fleet, folder)
    return found.code


def _guest(fleet: Fleet) -> Verdict:
    found = {}
    for kind, dax in (("DAX", True), ("disk", False)):
        # With room for all of it, so that what is read last pushes out nothing.
        fleet.create(["reads"], "bench", replace(SPECIFICATION, dax=dax, memory=GIB))
        try:
            _check(fleet.start(["reads"], timeout=MOST_SECONDS)[0].error)
            sums = [_read(fleet) for _ in range(ROUNDS)]
        finally:
            fleet.delete(["reads"], force=True)
        found[kind] = [float(grown) for _, grown in sums]
        print(
            f"{kind}: {format_size(sums[-1][0])} read, {format_size(sums[-1][1])} of page cache in the guest"
        )
    return verdict("page cache of the master, DAX against a disk", ratio(found["DAX"], found["disk"]), LIMIT)


def _read(fleet: Fleet) -> tuple[int, int]:
    """Bytes read, and by how many the page cache grew."""
    outcome = fleet.remote.execute(["reads"], ["sh", "-euc", READ])[0]
    _check(outcome.error)
    assert outcome.value is not None and outcome.value.code == 0, outcome.value
    read, kib = outcome.value.stdout.split()
    return int(read), int(kib) * 1024


def _host(fleet: Fleet, folder: Path) -> None:
    sealed = fleet.masters.folder(fleet.masters.find("bench"))
    _thin(fleet, "DAX", dax=True, image=sealed / "root-dax.erofs")
    _thin(fleet, "disk, lz4", dax=False, image=sealed / "root.erofs")
    make_base(sealed, folder)
    _clones(folder)


def _thin(fleet: Fleet, kind: str, *, dax: bool, image: Path) -> None:
    made = fleet.create([f"idle-{{1..{GUESTS}}}"], "bench", replace(SPECIFICATION, dax=dax))
    try:
        for outcome in fleet.start(["idle-*"], parallel=AT_ONCE, timeout=MOST_SECONDS):
            _check(outcome.error)
        statuses = (machine.status for machine in fleet.machines([i.name for i in made]))
        _print_host(kind, [status.pid for status in statuses if status and status.pid], image)
    finally:
        fleet.delete(["idle-*"], force=True)


def _clones(folder: Path) -> None:
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(GUESTS):
            running.append(linked_clone(folder, f"clone-{number}", memory=SPECIFICATION.memory))
            if number % AT_ONCE == AT_ONCE - 1 or number == GUESTS - 1:
                _wait(lambda last=number: all(is_up(folder, f"clone-{n}") for n in range(last + 1)))  # type: ignore[misc]
        _print_host("linked clones", [machine.pid for machine in running], folder / "base.img")
    finally:
        for machine in running:
            machine.kill()
            machine.wait()


def _print_host(kind: str, pids: Sequence[int], image: Path) -> None:
    assert len(pids) == GUESTS
    _wait(lambda: _busy(pids) < IDLE * GUESTS)
    parts = [_pss(pid) for pid in pids]
    total = sum(sum(part.values()) for part in parts)
    print(f"{GUESTS} idle guests of {format_size(SPECIFICATION.memory)}, {kind}: PSS {format_size(total)}")
    for what in parts[0]:
        print(f"  {what}: {format_size(sum(part[what] for part in parts))}")
    print(f"  beside it, what the host caches of their image: {format_size(_cached(image))}")


def _wait(holds: Callable[[], bool]) -> None:
    until(holds, time.monotonic(), MOST_SECONDS)


def _busy(pids: Sequence[int], seconds: float = 10.0) -> float:
    """Processors that they keep busy, over so many seconds."""
    before = processor_seconds(*pids)
    time.sleep(seconds)
    return (processor_seconds(*pids) - before) / seconds


def _pss(pid: int) -> dict[str, int]:
    """Bytes of PSS of a QEMU, by what they are for."""
    found = dict.fromkeys(("guest memory", "the master, mapped", "translated code", "QEMU itself"), 0)
    what = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head, *words = line.split()
        if not head.endswith(":"):
            what = _purpose(head, *words)
        elif head == "Pss:":
            found[what] += int(words[0]) * 1024
    return found


def _purpose(addresses: str, rights: str, *_: str) -> str:
    """Of a mapping: guest memory is a piece of exactly its size, and nothing but a master is read and shared
    (by its path it is not known: QEMU has another root)."""
    begin, end = (int(text, 16) for text in addresses.split("-"))
    if rights == "r--s":
        return "the master, mapped"
    if rights.startswith("rwx"):
        return "translated code"
    return "guest memory" if end - begin == SPECIFICATION.memory else "QEMU itself"


def _cached(file: Path) -> int:
    fincore = shutil.which("fincore")
    assert fincore is not None, "fincore is part of util-linux"
    said = subprocess.run(
        [fincore, "--bytes", "--noheadings", "--output", "RES", file], check=True, capture_output=True
    )
    return int(said.stdout)


def _check(error: Exception | None) -> None:
    if error:
        raise error


if __name__ == "__main__":
    sys.exit(main())
