"""A whole export, against `tar | zstd` of the same files: `python -m bench.export`.

The files are those of a web server: many small ones, some large ones, a database of 64 MiB, and a sparse one
of 4 GiB that holds nearly nothing. tar reads them from a mounted filesystem with all that it can keep
(attributes, access lists, holes), and zstd packs with the same level and threads. Neither knows a digest of
what it wrote, nor has an index of it. In both the files are in memory. Needs the rights of root, since owners
are told.
"""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import Cost, Verdict, alternate, cost, ratio, verdict
from bench.store import scratch, seal_something, skinnybox
from skinnybox.delta.archive.exported import COMPRESS
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.model import Allocation, Instance, Overlay
from skinnybox.overlays.seed import base_message
from skinnybox.sizes import GIB, MIB

SMALL, PER_FOLDER, MEAN = 20_000, 40, 12_000
LARGE, LARGE_SIZE = 12, 8 * MIB
PAIRS = 9
LIMIT = 1.5
NOTHING_TO_RUN = 77
TAR = ("tar", "--posix", "--xattrs", "--xattrs-include=*", "--acls", "--sparse", "--numeric-owner", "-c")


def main() -> int:
    if os.geteuid() != 0:
        print("files of several owners take the rights of root")
        return NOTHING_TO_RUN
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        folder = Path(name)
        tree = _prepared(folder)
        ours, others = alternate(lambda: _export(folder), lambda: _by_hand(folder, tree), PAIRS)
        worst = max(_judged(what, ours, others) for what in ("processor", "wall"))
        sizes = [(folder / name).stat().st_size / MIB for name in ("ours", "theirs")]
        print(f"archives of {sizes[0]:.1f} MiB, by tar and zstd {sizes[1]:.1f} MiB")
    return worst.code


def _judged(what: str, ours: list[Cost], others: list[Cost]) -> Verdict:
    one, other = ([getattr(cost, what) for cost in costs] for costs in (ours, others))
    print(f"{what}: export {min(one):.2f} s, tar | zstd {min(other):.2f} s")
    return verdict(f"export against tar | zstd, {what}", ratio(one, other), LIMIT)


def _export(folder: Path) -> Cost:
    (folder / "ours").unlink(missing_ok=True)
    return cost(lambda: skinnybox(folder, "export", "-q", "m", str(folder / "ours")))


def _by_hand(folder: Path, tree: Path) -> Cost:
    return cost(lambda: _packed(tree, folder / "theirs"))


def _packed(tree: Path, file: Path) -> None:
    with file.open("wb") as target:
        tar = subprocess.Popen([*TAR, "-C", tree, "."], stdout=subprocess.PIPE)
        subprocess.run(COMPRESS, stdin=tar.stdout, stdout=target, check=True)
        assert tar.stdout is not None
        tar.stdout.close()
        if tar.wait():
            sys.exit(f"tar ended with {tar.returncode}")


def _prepared(folder: Path) -> Path:
    """The machine `m` in `folder`/state with the files of the tree on its overlay."""
    seal_something(folder)
    wanted = Specification(overlay=Overlay(size=2 * GIB, allocation=Allocation.SPARSE), memory=GIB, cpus=1)
    with open_fleet(Settings(state=folder / "state")) as fleet:
        (made,) = fleet.create(["m"], "bench", wanted)
    disk = folder / "disk"
    _files(disk / "upper" / "srv")
    _rest(disk, made)
    overlay = folder / "state" / "instances" / str(made.uuid) / "overlay.img"
    words: list[str | Path] = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", disk, overlay]
    subprocess.run(words, check=True, capture_output=True)
    return disk / "upper"


def _rest(disk: Path, made: Instance) -> None:
    for name in ("work", "skinnybox"):
        (disk / name).mkdir()
    (disk / "skinnybox" / "base").write_bytes(base_message(made))


def _files(top: Path) -> None:
    """Of text that packs as such files do: to about a third."""
    draw = random.Random(0)
    text = b"".join(b"%d\n" % draw.randrange(10**6) for _ in range(2_000_000))
    for number in range(SMALL):
        file = top / f"{number // PER_FOLDER:04}" / f"{number:06}.php"
        file.parent.mkdir(parents=True, exist_ok=True)
        size, start = int(draw.expovariate(1 / MEAN)), draw.randrange(len(text) // 2)
        file.write_bytes(text[start : start + size])
        os.chown(file, 33, 33)
    for number in range(LARGE):
        start = draw.randrange(len(text) - LARGE_SIZE)
        (top / f"{number}.log").write_bytes(text[start : start + LARGE_SIZE])
    (top / "ibdata1").write_bytes(draw.randbytes(16 * MIB) + text[: 48 * MIB])
    with (top / "sparse.img").open("wb") as sparse:
        for at in (0, GIB, 3 * GIB):
            sparse.seek(at)
            sparse.write(b"x" * 4096)
        sparse.truncate(4 * GIB)


if __name__ == "__main__":
    sys.exit(main())
