"""The tests that are named after a module: what is tried of a mutant before all tests are mapped, which takes
hours, and is needed only for the mutants that these let live."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.mutation.trying import Chosen, Copies, lives, one_of, passes

Seconds = Callable[[str], float | None]
"""Of a file of tests, unaltered; None where it fails, or takes longer than it may: it says nothing then."""


def files_of_tests(root: Path, folders: Iterable[str]) -> list[str]:
    """All files of tests in these folders of tests/, or those themselves, relative to `root`."""
    found = set[Path]()
    for place in (place for folder in folders for place in root.glob(f"tests/{folder}")):
        found.update(place.rglob("test_*.py") if place.is_dir() else [place])
    return sorted(str(path.relative_to(root)) for path in found)


def named_after(source: str, files: Sequence[str]) -> list[str]:
    """Those whose names have all words of the module's, in its order: of hosts/qemu/launch.py test_launch and
    test_qemu_launch_killed, and not test_launcher. First those that name its package too, and the shorter; of
    a module that none is named after those of its package."""
    package, module = Path(source).with_suffix("").parts[-2:]
    if module == "__init__":
        module = package
    fitting = [file for file in files if _has(file, module)] or [
        file for file in files if _has(file, package)
    ]
    return sorted(fitting, key=lambda file: (not _has(file, package), len(file), file))


def _has(file: str, words: str) -> bool:
    return f"_{words}_" in f"{Path(file).stem}_"


def within(files: Sequence[str], seconds: Seconds, budget: float) -> tuple[list[str], float]:
    """The first of them that say something, up to `budget` seconds but at least one; how long they take."""
    chosen, total = list[str](), 0.0
    for file in files:
        took = seconds(file)
        if took is None:
            continue
        if chosen and total + took > budget:
            break
        chosen.append(file)
        total += took
    return chosen, total


class Named:
    """Tries mutants with the files of tests that are named after their modules, each of which runs once
    unaltered first: what fails by itself, or takes longer than a mutant may, says nothing about one."""

    def __init__(self, copies: Copies, files: Sequence[str], budget: float) -> None:
        self._copies, self._files, self._budget = copies, files, budget
        self._locks, self._seconds = (
            defaultdict[str, threading.Lock](threading.Lock),
            dict[str, float | None](),
        )

    def tried(self, chosen: Chosen) -> bool | None:
        """Whether they let it live; None where none says anything."""
        named = named_after(chosen.file, self._files)
        files, seconds = within(named, self._took, self._budget)
        if not files:
            return None
        return lives(self._copies, chosen, lambda copy: passes(copy, files, 30.0 + 4 * seconds))

    def _took(self, file: str) -> float | None:
        with self._locks[file]:
            if file not in self._seconds:
                with one_of(self._copies) as copy:
                    begun = time.monotonic()
                    passed = passes(copy, [file], self._budget)
                    self._seconds[file] = time.monotonic() - begun if passed else None
        return self._seconds[file]
