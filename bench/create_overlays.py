"""What an overlay costs: made new and made anew for a reset, against a linked clone by qemu-img.

    python bench/create_overlays.py [COUNT] [FOLDER]

One process, one thread, nothing synced. Each way is tried in turns; the median of the rounds is printed.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from skinnybox import run
from skinnybox.model import GIB, MIB, Allocation
from skinnybox.overlays.make import make
from skinnybox.overlays.template import Template, template

ROUNDS = 5
BASE, SEED = b"b" * 200 + b"\n", b"s" * 600 + b"\n"


def main(count: int, where: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=where) as folder:
        small, large = (template(Path(folder, "templates"), size) for size in (64 * MIB, GIB))
        clone = statistics.median(_clones(Path(folder, "clones")) for _ in range(ROUNDS))
        print(f"qemu-img create -b, one process each: {clone:.2f} ms")
        for name, form, allocation, replace in (
            ("64 MiB reserved", small, Allocation.RESERVED, False),
            ("1 GiB sparse", large, Allocation.SPARSE, False),
            ("64 MiB reserved, replaced", small, Allocation.RESERVED, True),
            ("1 GiB sparse, replaced", large, Allocation.SPARSE, True),
            ("1 GiB reserved", large, Allocation.RESERVED, False),
            ("1 GiB reserved, replaced", large, Allocation.RESERVED, True),
        ):
            number = count if form.size < GIB or allocation is Allocation.SPARSE else min(count, 20)
            took = _median(Path(folder, "made"), number, form, allocation, replace=replace)
            print(f"{name}: {took:.3f} ms, {took / clone:.3f} of a linked clone")


def _median(folder: Path, count: int, form: Template, allocation: Allocation, *, replace: bool) -> float:
    return statistics.median(
        _round(folder, count, lambda path: _make(form, path, allocation, replace=replace), replace=replace)
        for _ in range(ROUNDS)
    )


def _make(form: Template, path: Path, allocation: Allocation, *, replace: bool) -> None:
    make(form, path, base=BASE, seed=SEED, allocation=allocation, replace=replace)


def _round(folder: Path, count: int, act: Callable[[Path], None], *, replace: bool) -> float:
    """Milliseconds each, in folders that are there already; the old overlay too when it is to be replaced."""
    paths = [folder / str(number) / "overlay.img" for number in range(count)]
    for path in paths:
        path.parent.mkdir(parents=True)
        if replace:
            act(path)
    start = time.perf_counter()
    for path in paths:
        act(path)
    took = (time.perf_counter() - start) * 1000 / count
    shutil.rmtree(folder)
    return took


def _clones(folder: Path) -> float:
    folder.mkdir()
    create = ["qemu-img", "create", "-q", "-f", "qcow2"]
    run.run([*create, str(folder / "base"), "1G"])
    start = time.perf_counter()
    for number in range(20):
        run.run([*create, "-b", str(folder / "base"), "-F", "qcow2", str(folder / str(number))])
    took = (time.perf_counter() - start) * 1000 / 20
    shutil.rmtree(folder)
    return took


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 300,
        Path(sys.argv[2]) if len(sys.argv) > 2 else None,
    )
