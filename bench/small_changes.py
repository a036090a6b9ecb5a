"""What a machine changed, when that is little: `python -m bench.small_changes`.

By hand one mounts the master and the overlay, lays one over the other, and has rsync compare the two, content
and attributes included. The master is as large as that of a small Debian: 10,000 files, 300 MB. Needs root
and rsync. Where virt-diff is installed (Debian: guestfs-tools) it is compared as well, by processor and by
wall: it knows nothing of overlays, so it gets the same alterations in a linked clone (bench/virt_diff.py).
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import virt_diff
from bench.measure import Cost, Verdict, alternate, cost, ratio, seconds, verdict
from bench.store import scratch, skinnybox
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.masters import imports
from skinnybox.model import Allocation, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import GIB

FILES, PER_FOLDER, MEAN = 10_000, 12, 30_000
PAIRS, VIRT_DIFF_PAIRS = 15, 5
LIMIT = 0.5
NOTHING_TO_RUN = 77
CHANGES = 44
"""As many as _CHANGED makes, by whoever counts them."""

# $1 overlay, $2 master, $3 a folder with places to mount them. A loop device is let go of with its mount.
_MOUNTED = """
mount -o loop,$4 "$1" "$3/upper"
mount -o loop,ro "$2" "$3/lower"
"""
_CHANGED = f"""{_MOUNTED}
mount -t overlay -o lowerdir="$3/lower",upperdir="$3/upper/upper",workdir="$3/upper/work" \\
    -o redirect_dir=nofollow,index=off,metacopy=off,xino=off overlay "$3/merged"
cd "$3/merged"
sh -euc "$5"
cd /
umount "$3/merged" "$3/lower" "$3/upper"
"""
_DONE = """
echo more >>usr/0000/000000
chmod 600 usr/0001/000012
rm usr/0002/000024
mkdir srv
for number in $(seq 40); do echo "$number" >"srv/$number"; done
"""
_BY_HAND = f"""{_MOUNTED}
mount -t overlay -o ro,lowerdir="$3/upper/upper:$3/lower" overlay "$3/merged"
rsync -n -c -aXA --delete --itemize-changes "$3/merged/" "$3/lower/" >"$3/told"
umount "$3/merged" "$3/lower" "$3/upper"
"""


def main() -> int:
    if os.geteuid() != 0 or shutil.which("rsync") is None:
        print("comparing by hand takes the rights of root, and rsync")
        return NOTHING_TO_RUN
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        folder = Path(name)
        overlay, sealed = _prepared(folder)
        _check(folder, overlay, sealed)
        ours, others = alternate(
            lambda: seconds(lambda: skinnybox(folder, "changes", "m")),
            lambda: seconds(lambda: _shell(_BY_HAND, overlay, sealed, folder, "ro")),
            PAIRS,
        )
        print(f"{CHANGES} changes: {min(ours):.2f} s, by hand {min(others):.2f} s")
        worst = verdict("changes against mount and rsync -n -c", ratio(ours, others), LIMIT)
        reason = virt_diff.missing()
        if reason is not None:
            print(f"against virt-diff: skipped: {reason}")
        else:
            worst = max(worst, _against_virt_diff(folder))
    return worst.code


def _check(folder: Path, overlay: Path, sealed: Path) -> None:
    """Both find what there is: else their times say nothing."""
    with open_fleet(Settings(state=folder / "state")) as fleet, fleet.overlays.changes("m") as found:
        ours = sum(1 for _ in found)
    _shell(_BY_HAND, overlay, sealed, folder, "ro")
    told = (folder / "told").read_text().splitlines()
    # It tells of folders whose time changed, too.
    theirs = sum(not line.startswith(".d") for line in told)
    if (ours, theirs) != (CHANGES, CHANGES):
        sys.exit(f"changes found {ours}, rsync {theirs} of {CHANGES}")


def _against_virt_diff(folder: Path) -> Verdict:
    master, clone = virt_diff.prepared(folder, folder / "tree", _DONE)
    environment = virt_diff.environment(folder)
    _check_virt_diff(folder, virt_diff.virt_diff(master, clone, environment))  # what it boots is made then
    ours, others = alternate(
        lambda: cost(lambda: skinnybox(folder, "changes", "m")),
        lambda: cost(lambda: virt_diff.virt_diff(master, clone, environment)),
        VIRT_DIFF_PAIRS,
    )
    return max(_judged(what, ours, others) for what in ("processor", "wall"))


def _check_virt_diff(folder: Path, said: bytes) -> None:
    with open_fleet(Settings(state=folder / "state")) as fleet, fleet.overlays.changes("m") as found:
        ours = {change.path for change in found}
    theirs = virt_diff.named(said)
    if ours != theirs:
        sys.exit(f"changes and virt-diff differ in {sorted(ours ^ theirs)[:9]}")
    more = said.count(virt_diff.OTHER_DEVICE)
    print(f"both name the same {len(ours)}; virt-diff {more} more, whose device has another number for it")


def _judged(what: str, ours: list[Cost], others: list[Cost]) -> Verdict:
    one, other = ([getattr(each, what) for each in costs] for costs in (ours, others))
    print(f"{what}: changes {min(one):.2f} s, virt-diff {min(other):.2f} s")
    return verdict(f"changes against virt-diff, {what}", ratio(one, other), LIMIT)


def _prepared(folder: Path) -> tuple[Path, Path]:
    """The overlay of a machine `m` in `folder`/state that did what _DONE does, and its sealed master."""
    _tree(folder / "tree")
    for name in ("kernel", "initrd"):
        (folder / name).write_bytes(name.encode())
    imports.import_tree(
        folder / "tree", store=folder / "state" / "masters", name="bench", version="1", as_is=True,
        kernel=folder / "kernel", initrd=folder / "initrd", operation=Operation(), allow_foreign=True,
    )  # fmt: skip
    wanted = Specification(overlay=Overlay(size=GIB, allocation=Allocation.SPARSE), memory=GIB, cpus=1)
    with open_fleet(Settings(state=folder / "state")) as fleet:
        (made,) = fleet.create(["m"], "bench", wanted)
    overlay = folder / "state" / "instances" / str(made.uuid) / "overlay.img"
    (sealed,) = (folder / "state" / "masters").glob("*/root.erofs")
    for name in ("upper", "lower", "merged"):
        (folder / name).mkdir()
    _shell(_CHANGED, overlay, sealed, folder, "rw", _DONE)
    return overlay, sealed


def _tree(tree: Path) -> None:
    """Sizes as a distribution has them, many small and few large ones, of text that can be packed."""
    draw = random.Random(0)
    text = b"".join(b"%d\n" % draw.randrange(10**6) for _ in range(300_000))
    for number in range(FILES):
        file = tree / "usr" / f"{number // PER_FOLDER:04}" / f"{number:06}"
        file.parent.mkdir(parents=True, exist_ok=True)
        size, start = int(draw.expovariate(1 / MEAN)), draw.randrange(len(text) // 2)
        file.write_bytes(text[start : start + size])
    # What virt-diff takes for a system: it refuses to look into any other disk.
    for name in ("etc", "bin", "lib"):
        (tree / name).mkdir()
    (tree / "etc" / "os-release").write_text('PRETTY_NAME="bench"\nID=debian\nVERSION_ID="12"\n')
    (tree / "etc" / "fstab").write_text("/dev/sda / ext4 defaults 0 1\n")
    (tree / "etc" / "debian_version").write_text("12.0\n")


def _shell(script: str, overlay: Path, sealed: Path, folder: Path, *words: str) -> None:
    subprocess.run(
        ["unshare", "-m", "sh", "-euc", script, "sh", overlay, sealed, folder, *words],
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    sys.exit(main())
