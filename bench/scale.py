"""Ten thousand machines against one thousand: `python -m bench.scale`.

Two state folders that differ in nothing else. What one more machine costs, what listing costs, and how much
memory the commands take, whole processes, in turn. A user has nothing else to compare it with: the question
is whether a large fleet makes a command slow.
"""

import itertools
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.measure import Verdict, alternate, ratio, seconds, verdict
from bench.store import scratch, seal_something, skinnybox

FEW, MANY = 1_000, 10_000
MORE = 50
ROUNDS = 9
LISTS = 7
MEMORY_LIMIT = 1.15


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        few, many = Path(name, "few"), Path(name, "many")
        for folder, count in ((few, FEW), (many, MANY)):
            folder.mkdir()
            seal_something(folder)
            _create(folder, f"m-{{1..{count}}}")
        worst = max(_compare_creating(few, many), _compare_listing(few, many))
    return worst.code


def _create(folder: Path, pattern: str) -> int:
    return skinnybox(folder, "create", "-q", pattern, "-m", "bench", "--overlay", "64M", "--sparse")


def _compare_creating(few: Path, many: Path) -> Verdict:
    peaks: dict[Path, list[int]] = {few: [], many: []}
    batch = itertools.count()

    def more(folder: Path, count: int) -> Callable[[], float]:
        pattern = f"x{{}}-{{{{1..{count}}}}}" if count > 1 else "x{}"
        return lambda: seconds(lambda: peaks[folder].append(_create(folder, pattern.format(next(batch)))))

    worst = Verdict.PROVEN
    for count in (MORE, 1):
        at_many, at_few = alternate(more(many, count), more(few, count), ROUNDS)
        print(
            f"create of {count}: {_each(at_many, count)} at {MANY} machines, {_each(at_few, count)} at {FEW}"
        )
        said = verdict(f"create of {count}, {MANY} against {FEW}", ratio(at_many, at_few), 1.3)
        worst = max(worst, said)
    memory = ratio(peaks[many], peaks[few])
    print(f"peak memory of create: {_mib(peaks[many])} and {_mib(peaks[few])}")
    return max(worst, verdict("memory of create", memory, MEMORY_LIMIT))


def _compare_listing(few: Path, many: Path) -> Verdict:
    peaks: dict[Path, list[int]] = {few: [], many: []}

    def listing(folder: Path) -> Callable[[], float]:
        return lambda: seconds(lambda: peaks[folder].append(skinnybox(folder, "list")))

    at_many, at_few = alternate(listing(many), listing(few), LISTS)
    print(f"list: {_each(at_many, 1)} and {_each(at_few, 1)}, {_mib(peaks[many])} and {_mib(peaks[few])}")
    return verdict(f"list, {MANY} against {FEW}", ratio(at_many, at_few), 10)


def _each(taken: list[float], count: int) -> str:
    return f"{statistics.median(taken) / count * 1000:.1f} ms"


def _mib(peaks: list[int]) -> str:
    return f"{statistics.median(peaks) / 1024:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
