"""Changes the source in small ways and looks which of them no quick test notices: `script/mutate`.

Of all mutants (mutants.py) a sample is drawn, by a seed, at most one of a line. Each is tried in a copy of
the checkout with the files of tests that are named after its module (named.py); --quick ends there. Those
that they let live are tried with the tests that execute their line (mapping.py), quickest first, within a
budget of seconds; of lines that run in other processes or at import, with those that execute anything of
that file or are named after it. A test that fails or never ends has caught it. What survives is printed with
its difference, and is no verdict by itself: read it, and ask whether a user would notice.

Of the tools on PyPI mutmut leaves alone what is outside of functions, where our tables and words are;
cosmic-ray has one command for all mutants and no sample; both drop neither statements nor elements.
coverage.py maps.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import hashlib
import itertools
import json
import os
import queue
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.named import Named, files_of_tests
from tests.mutation.trying import (
    PYTEST,
    QUICK,
    ROOT,
    Chosen,
    Copies,
    all_pass,
    copy_of_all,
    environment_of,
    files,
    lives,
    one_of,
)

RESULTS = ROOT / "test-results" / "mutation"
FOLDERS = ("unit", "fleet", "guest", "image", "plugin", "contract", "xapi", "fuzz", "api", "serve", "web")


class Fate(StrEnum):
    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    UNTRIED = "UNTRIED: no quick test comes near"


_FATES = {True: Fate.SURVIVED, False: Fate.CAUGHT, None: Fate.UNTRIED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Seconds of each test, in the order of their numbers; file, line, and which of them execute it."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[int]]]

    def tests(self, chosen: Chosen, budget: float) -> list[str]:
        """Up to `budget` seconds but at least one: those that execute the line, named after it first; others
        that are named after it, which may start commands; those that execute something of its file."""
        names, lines = list(self.seconds), self.lines.get(chosen.file, {})
        executing = {names[number] for number in lines.get(str(chosen.mutant.line), ())}
        named = {test for test in names if _stem(test) in _stems(chosen.file)}
        near = {names[number] for numbers in lines.values() for number in numbers}
        ranked = [executing & named, executing, named, set() if executing else near]
        order = {test: None for rank in ranked for test in sorted(rank, key=lambda test: self.seconds[test])}
        total, within = 0.0, list[str]()
        for test in order:
            total += self.seconds[test]
            if within and total > budget:
                break
            within.append(test)
        return within


def _stem(test: str) -> str:
    return Path(test.partition("::")[0]).stem


def _stems(file: str) -> set[str]:
    """Of the tests of a file: hosts/qemu/launch.py has test_hosts, test_qemu_launch and so on."""
    parts = Path(file).with_suffix("").parts[2:]
    pieces = itertools.combinations(range(len(parts) + 1), 2)
    return {f"test_{'_'.join(parts[start:end])}" for start, end in pieces}


def main() -> int:
    options = _options()
    with contextlib.ExitStack() as stack:
        copies: Copies = queue.SimpleQueue()
        for _ in range(options.jobs):
            copies.put(stack.enter_context(copy_of_all()))
        sample = _sample(options)
        print(f"{len(sample)} mutants, seed {options.seed}, of {options.only}", flush=True)
        counts = dict.fromkeys(Fate, 0)
        for chosen, fate in zip(sample, _fates(sample, copies, options), strict=True):
            counts[fate] += 1
            if fate is not Fate.CAUGHT or options.all:
                where = f"{chosen.file}:{chosen.mutant.line}"
                print(f"{fate}  {where}  {chosen.mutant.what}\n{chosen.difference()}", flush=True)
    print(", ".join(f"{count} {fate.name.lower()}" for fate, count in counts.items()))
    return 0


def _fates(sample: Sequence[Chosen], copies: Copies, options: argparse.Namespace) -> Iterator[Fate]:
    """In the order of the sample. The map is made, or looked for, only for what the named tests let live."""
    by_name = Named(copies, files_of_tests(ROOT, options.folders), options.seconds)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        first = map(_FATES.__getitem__, pool.map(by_name.tried, sample))
        if options.quick:
            yield from first
            return
        found = list(first)
        alive = [chosen for chosen, fate in zip(sample, found, strict=True) if fate is not Fate.CAUGHT]
        print(f"{len(alive)} of {len(sample)} live on after the named tests", file=sys.stderr, flush=True)
        if not alive:
            yield from found
            return
        rest = pool.map(functools.partial(_tried, copies, _map(copies, options), options.seconds), alive)
        for fate in found:
            yield fate if fate is Fate.CAUGHT else next(rest)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which ones (1)")
    everything = ["src/skinnybox/**/*.py"]
    parser.add_argument("--only", nargs="+", default=everything, metavar="GLOB", help="of which files")
    parser.add_argument("--seconds", type=float, default=60.0, help="of tests for each mutant (60)")
    parser.add_argument(
        "--folders", nargs="+", default=FOLDERS, metavar="GLOB",
        help="of tests, or some of their files: unit 'fleet/test_rebase*' (all that are quick)",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    parser.add_argument(
        "--quick", action="store_true", help="only with the tests that are named after the module: no map"
    )
    parser.add_argument("--all", action="store_true", help="print those that were caught as well")
    return parser.parse_args()


def _sample(options: argparse.Namespace) -> list[Chosen]:
    """At most one of a line, drawn evenly from the lines that have any."""
    draw = random.Random(options.seed)
    lines: dict[tuple[str, int], list[Mutant]] = {}
    for path in sorted({path for only in options.only for path in ROOT.glob(only)}):
        for mutant in mutants(path.read_bytes()):
            lines.setdefault((str(path.relative_to(ROOT)), mutant.line), []).append(mutant)
    order = draw.sample(sorted(lines), len(lines))
    found: list[Chosen] = []
    for file, line in order:
        mutant = draw.choice(lines[file, line])
        if len(found) < options.sample and mutant.compiles((ROOT / file).read_bytes()):
            found.append(Chosen(file=file, mutant=mutant))
    return sorted(found, key=lambda chosen: (chosen.file, chosen.mutant.line))


def _map(copies: Copies, options: argparse.Namespace) -> Map:
    """Made once for each folder of tests and state of what they look at, several at once."""
    digest = hashlib.sha256()
    for name in files():
        if name.startswith(("src/", "tests/", "guest/")):
            digest.update(f"{name}\0".encode() + (ROOT / name).read_bytes())
    RESULTS.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        work = functools.partial(_mapped, copies, digest.hexdigest()[:16])
        return _joined(list(pool.map(work, options.folders)))


def _mapped(copies: Copies, digest: str, folder: str) -> Map:
    kept = RESULTS / f"map-{digest}-{folder.replace('/', ':')}.json"
    if not kept.exists():
        print(f"mapping tests/{folder} to the lines it executes", file=sys.stderr, flush=True)
        with one_of(copies) as copy:
            found = [str(path.relative_to(copy)) for path in sorted(copy.glob(f"tests/{folder}"))]
            words = [*PYTEST, "-p", "tests.mutation.mapping", *QUICK, *found]
            environment = environment_of(copy, MUTATION_MAP=str(kept))
            subprocess.run(words, cwd=copy, env=environment, stdout=sys.stderr, check=False)
    values: dict[str, Any] = json.loads(kept.read_bytes())
    return Map(seconds=values["seconds"], lines=values["lines"])


def _joined(maps: Sequence[Map]) -> Map:
    seconds: dict[str, float] = {}
    lines: dict[str, dict[str, list[int]]] = {}
    for found in maps:
        first = len(seconds)
        seconds |= found.seconds
        for file, numbered in found.lines.items():
            into = lines.setdefault(file, {})
            for line, numbers in numbered.items():
                into.setdefault(line, []).extend(first + number for number in numbers)
    return Map(seconds=seconds, lines=lines)


def _tried(copies: Copies, known: Map, budget: float, chosen: Chosen) -> Fate:
    tests = known.tests(chosen, budget)
    if not tests:
        return Fate.UNTRIED
    most = 30.0 + 4 * sum(known.seconds[test] for test in tests)
    alive = lives(copies, chosen, lambda copy: all_pass(copy, tests, most))
    return Fate.SURVIVED if alive else Fate.CAUGHT


if __name__ == "__main__":
    begun = time.monotonic()
    code = main()
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
    sys.exit(code)
