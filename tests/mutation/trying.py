"""Trying a mutant: copies of the checkout, in which files are altered, and tests that run there."""

import contextlib
import difflib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant

ROOT = Path(__file__).parents[2]
QUICK = ["-m", "not full and not boot"]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
Copies = queue.SimpleQueue[Path]
"""Who takes one out alters it alone, and puts it back as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One mutant of one file; `file` is relative to the checkout."""

    file: str
    mutant: Mutant

    def difference(self) -> str:
        source = (ROOT / self.file).read_bytes()
        before, after = (text.decode().splitlines() for text in (source, self.mutant.applied(source)))
        lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
        return "\n".join(f"    {line}" for line in lines if not line.startswith("@@"))


def files() -> list[str]:
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    return sorted({name for name in names if name and (ROOT / name).is_file()})


@contextlib.contextmanager
def copy_of_all() -> Iterator[Path]:
    """The checkout in a folder of its own, which everybody may look into, with our .venv and caches."""
    with tempfile.TemporaryDirectory(prefix="skinnybox-mutate-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in files():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, folder / file)
        for shared in (".venv", ".cache"):
            (folder / shared).symlink_to(ROOT / shared)
        yield folder


def environment_of(copy: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1", **more}


@contextlib.contextmanager
def one_of(copies: Copies) -> Iterator[Path]:
    copy = copies.get()
    try:
        yield copy
    finally:
        copies.put(copy)


def lives(copies: Copies, chosen: Chosen, tries: Callable[[Path], bool]) -> bool:
    with one_of(copies) as copy:
        target, source = copy / chosen.file, (ROOT / chosen.file).read_bytes()
        try:
            target.write_bytes(chosen.mutant.applied(source))
            return tries(copy)
        finally:
            target.write_bytes(source)


def all_pass(copy: Path, tests: list[str], most: float) -> bool:
    with tempfile.NamedTemporaryFile("w") as chosen:
        chosen.write("\0".join(tests))
        chosen.flush()
        files = sorted({test.partition("::")[0] for test in tests})
        words = ["-p", "tests.mutation.chosen", *files]
        return passes(copy, words, most, MUTATION_TESTS=chosen.name)


def passes(copy: Path, words: Sequence[str], most: float, **environment: str) -> bool:
    """Whether all quick ones of these files do, in so many seconds."""
    child = subprocess.Popen(
        [*PYTEST, "-x", *QUICK, *words],
        cwd=copy,
        env=environment_of(copy, **environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return child.wait(most) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, 9)
        child.wait()
