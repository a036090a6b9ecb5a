"""Rebasing stopped machines, against re-creating them and copying their files in: `python -m bench.rebasing`.

The limits are held against what a user of such a tool would do instead: `create` from the new master, start
it and the old machine, whose files nobody else can read, `tar` of what changed by `skinnybox exec` out of the
one and into the other, remove what was deleted, stop both. That an ordinary user can, and nobody's kernel
mounts what a guest wrote to. Its guest is the smallest that there is (bench.small), which boots in a
tenth of what bench.boot says of Debian's, and that it knows which files changed is given to it: so it is the
cheapest that such a rival can be. Emulated, a start costs what it costs there; where there is KVM it is less,
and so is the whole rival: the processors' seconds of its two QEMUs are told apart.

Beside it, without a limit, what root could do who trusts his guests: for each machine a mount of the old
overlay and of the new one by this host's kernel, and tar from the one upper folder into the other. Our own
rules forbid it. No machine is booted for it. By both nothing is merged, and nobody looks whether both changed
the same file, whether what comes of it is whole, or leaves a way back.

Counted are seconds of processor, user and system, of all the processes of each; what the kernel does for a
loop device is in none of them, which is for the other side. A pair is a fifth of the machines, against one
that is created anew. Each machine has 1,500 files of its own, altered 400 of the master's 10,000 and deleted
100; the new master has 200 others altered and 100 more. Neither has packages, so that no package manager is
asked. Needs root, busybox-static and dropbear-bin.
"""

import itertools
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from bench import small
from bench.measure import Verdict, alternate, processor_seconds, ratio, verdict
from bench.store import cpu, piped, scratch, skinnybox, used
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.masters import imports
from skinnybox.operation import Operation

MACHINES = int(os.environ.get("SKINNYBOX_BENCH_MACHINES", "100"))
PAIRS = 5
NOTHING_TO_RUN = 77
LIMIT, PLAN_LIMIT, MEMORY_LIMIT = 0.3, 0.05, 1.25
IN_MASTER, PER_FOLDER, MEAN = 10_000, 12, 8_000
ALTERED, DELETED, OWN = 400, 100, 1_500
_SIZE = ("--overlay", "1G", "--sparse", "--memory", "256M")
MANY = 20_000
"""Files of one machine whose rebase is not to take more memory than that of one with 2,000."""

_TAKEN = "cd / && xargs tar -cf -"
_PUT = "cd / && tar -xpf -"
_REMOVED = "cd / && xargs rm && sync"
# $1 overlay, $2 master, $3 a folder with places to mount them, $4 what was changed, $5 what was deleted.
_LIVED = """
mount -o loop "$1" "$3/upper"
mount -o loop,ro "$2" "$3/lower"
mount -t overlay -o lowerdir="$3/lower",upperdir="$3/upper/upper",workdir="$3/upper/work" \\
    -o redirect_dir=nofollow,index=off,metacopy=off,xino=off overlay "$3/merged"
tar -C "$3/merged" -xpf "$4"
cd "$3/merged"
xargs rm <"$5"
cd /
umount "$3/merged" "$3/lower" "$3/upper"
"""
# $1 a folder with places to mount them, $2 the old overlay; then the new ones.
_COPIED = """
places=$1 old=$2
shift 2
for new; do
    mount -o loop,ro "$old" "$places/lower"
    mount -o loop "$new" "$places/upper"
    tar -C "$places/lower/upper" --numeric-owner --xattrs --xattrs-include='*' -cf - . |
        tar -C "$places/upper/upper" --numeric-owner --xattrs --xattrs-include='*' -xpf -
    umount "$places/lower" "$places/upper"
done
"""


def main() -> int:
    if os.geteuid():
        print("mounting overlays takes the rights of root")
        return NOTHING_TO_RUN
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        folder = Path(name)
        _prepare(folder)
        worst = _compare(folder, max(1, MACHINES // PAIRS))
        worst = max(worst, _memory(folder))
    return worst.code


def _compare(folder: Path, count: int) -> Verdict:
    (source,) = _made(folder, "source", 1, "bench:1")
    _live(folder, [source], OWN)
    _made(folder, "running", 1, "bench:1")
    _live(folder, [_overlay(folder, "running-1")], OWN)
    batches, rivals = itertools.count(), itertools.count()
    plans: list[float] = []
    roots: list[float] = []
    emulated: list[float] = []

    def ours() -> float:
        name = f"m{next(batches)}"
        names = f"{name}-*"
        _live(folder, _made(folder, name, count, "bench:1"), OWN)
        os.sync()  # what made them is not to slow either
        plans.append(cpu(folder, "rebase", "-q", names, "--onto", "bench:2", "--dry-run") / count)
        return cpu(folder, "rebase", "-q", names, "--onto", "bench:2", "--no-start", "--yes") / count

    def theirs() -> float:
        number = next(rivals)
        begun = _spent()
        _shell(_COPIED, folder, source, *_made(folder, f"r{number}", count, "bench:2"))
        roots.append((_spent() - begun) / count)
        commands, qemu = _created_anew(folder, f"n{number}")
        emulated.append(qemu)
        return commands + qemu

    found, anew = alternate(ours, theirs, PAIRS)
    told = [statistics.median(times) * 1000 for times in (found, plans, anew, emulated, roots)]
    print(
        f"{PAIRS} times {count} machines, {OWN + ALTERED + DELETED} changed files in each; processor, each "
        f"machine: a rebase {told[0]:.0f} ms, its plan {told[1]:.0f} ms; re-creating and tar by exec "
        f"{told[2]:.0f} ms, of which two QEMUs {told[3]:.0f} ms; root with loop mounts {told[4]:.0f} ms"
    )
    print(f"rebase, against root with loop mounts: {ratio(found, roots)}, its plan: {ratio(plans, roots)}")
    worst = verdict("rebase, against re-creating and tar", ratio(found, anew), LIMIT)
    return max(worst, verdict("its plan alone, against the same", ratio(plans, anew), PLAN_LIMIT))


def _created_anew(folder: Path, name: str) -> tuple[float, float]:
    """What it takes, commands and QEMUs: a machine of the new master, with the files of `running-1`."""
    taken = cpu(folder, "create", "-q", name, "-m", "bench:2", *_SIZE)
    taken += cpu(folder, "start", "-q", name, "running-1")
    names = "".join(f"{_place(number * 25)}\n" for number in range(ALTERED)) + "srv\n"
    taken += piped(
        folder, ("exec", "running-1", "--", "sh", "-c", _TAKEN), ("exec", name, "--", "sh", "-c", _PUT), names
    )
    taken += cpu(folder, "exec", name, "--", "sh", "-c", _REMOVED, said=(folder / "deleted").read_text())
    with open_fleet(Settings(state=folder / "state")) as fleet:
        status = [machine.status for machine in fleet.machines([name, "running-1"])]
    qemu = processor_seconds(*(each.pid for each in status if each is not None and each.pid is not None))
    # Nobody waits for a guest to power off: that would cost them more.
    taken += cpu(folder, "stop", "-q", "--kill", "--timeout", "0", name, "running-1")
    return taken, qemu


def _memory(folder: Path) -> Verdict:
    """Of the largest process that a rebase starts."""
    peaks = []
    for name, own in (("few", OWN), ("many", MANY - ALTERED - DELETED)):
        _live(folder, _made(folder, name, 1, "bench:1"), own)
        usage = used(folder, "rebase", "-q", f"{name}-1", "--onto", "bench:2", "--no-start", "--yes")
        peaks.append(usage.ru_maxrss)
    few, many = peaks
    said = Verdict.PROVEN if many <= few * MEMORY_LIMIT else Verdict.BROKEN  # counted, not measured
    print(f"the largest process: {few >> 10} MiB for {OWN + ALTERED + DELETED} files, {many >> 10} MiB for "
          f"{MANY}: {many / few:.2f}  limit {MEMORY_LIMIT}  {said}")  # fmt: skip
    return said


def _spent() -> float:
    """Seconds of processor, of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _made(folder: Path, name: str, count: int, master: str) -> list[Path]:
    """The overlays of so many new machines."""
    skinnybox(folder, "create", "-q", f"{name}-{{1..{count}}}", "-m", master, *_SIZE)
    return [_overlay(folder, f"{name}-{number}") for number in range(1, count + 1)]


def _overlay(folder: Path, name: str) -> Path:
    with open_fleet(Settings(state=folder / "state")) as fleet:
        return folder / "state" / "instances" / str(fleet.machine(name).instance.uuid) / "overlay.img"


def _live(folder: Path, overlays: list[Path], own: int) -> None:
    """As a guest changes files: through an overlay filesystem of the kernel."""
    changed, deleted = folder / "changed.tar", folder / "deleted"
    with tarfile.open(changed, "w") as archive:
        for place, content in _changes(own):
            member = tarfile.TarInfo(place)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    deleted.write_text("".join(f"{_place(number * 100 + 1)}\n" for number in range(DELETED)))
    for overlay in overlays:
        _shell(_LIVED, overlay, folder / "old.erofs", folder, changed, deleted)


def _changes(own: int) -> Iterator[tuple[str, bytes]]:
    draw = random.Random(1)
    for number in range(ALTERED):
        yield _place(number * 25), draw.randbytes(int(draw.expovariate(1 / MEAN)))
    for number in range(own):
        yield f"srv/{number // PER_FOLDER:04}/{number:06}", draw.randbytes(int(draw.expovariate(1 / MEAN)))


def _place(number: int) -> str:
    return f"usr/{number // PER_FOLDER:04}/{number:06}"


def _prepare(folder: Path) -> None:
    """`bench:1` and `bench:2` in `folder`/state, the image of the first as `folder`/old.erofs."""
    for name in ("upper", "lower", "merged"):
        (folder / name).mkdir()
    tree, draw = folder / "tree", random.Random(0)
    kernel = small.kernel(folder)
    small.fill(tree)
    small.put_modules(tree, kernel)
    _write(tree / "etc" / "os-release", b'PRETTY_NAME="bench"\nID=debian\nVERSION_ID="12"\n')
    for number in range(IN_MASTER):
        _write(tree / _place(number), draw.randbytes(int(draw.expovariate(1 / MEAN))))
    _seal(folder, "1", kernel)
    (sealed,) = (folder / "state" / "masters").glob("*/root.erofs")
    (folder / "old.erofs").hardlink_to(sealed)
    for number in range(200):
        _write(tree / _place(number * 50 + 3), b"of the new master\n")
    for number in range(100):
        _write(tree / "usr" / "new" / f"{number:06}", b"of the new master\n")
    _seal(folder, "2", kernel)


def _seal(folder: Path, version: str, kernel: Path) -> None:
    imports.import_tree(
        folder / "tree", store=folder / "state" / "masters", name="bench", version=version, as_is=True,
        kernel=next(kernel.glob("boot/vmlinuz-*")), initrd=None, operation=Operation(), allow_foreign=True,
    )  # fmt: skip


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _shell(script: str, *words: Path) -> None:
    subprocess.run(["unshare", "-m", "sh", "-euc", script, "sh", *words], check=True)


if __name__ == "__main__":
    sys.exit(main())
