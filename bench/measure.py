"""How things are compared: in turn, in one run, as a ratio, with the spread said."""

import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_RESAMPLES = 4000
_FEWEST = 5
"""Pairs: 95 % of what may be is within five of them, and not within four."""
_OPEN = 78


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Median of the pairwise ratios and its 95 % interval by bootstrap."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.median:.2f} (95 %: {self.low:.2f} to {self.high:.2f}, {self.pairs} pairs)"


def seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def of_children(act: Callable[[], object]) -> float:
    """Processor seconds of the processes that end in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    act()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Cost(NamedTuple):
    """Seconds."""

    processor: float
    wall: float


def cost(act: Callable[[], object]) -> Cost:
    """Of the processes that end in it."""
    begun = time.perf_counter()
    processor = of_children(act)
    return Cost(processor, time.perf_counter() - begun)


def of_all(act: Callable[[], object]) -> float:
    """The same, and of this one."""
    begun = time.process_time()
    return of_children(act) + time.process_time() - begun


def until(holds: Callable[[], bool], begun: float, most: float) -> float:
    """Seconds from `begun`, a time.monotonic(), until it holds. TimeoutError after `most` seconds."""
    while time.monotonic() - begun < most:
        if holds():
            return time.monotonic() - begun
        time.sleep(0.05)
    raise TimeoutError(f"not so after {most:g} s")


def processor_seconds(*pids: int) -> float:
    """What these processes have taken of this machine's processors so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def alternate(one: Callable[[], T], other: Callable[[], T], pairs: int) -> tuple[list[T], list[T]]:
    """Both in turn, changing who goes first, so that a machine that slows down slows both."""
    ones: list[T] = []
    others: list[T] = []
    for number in range(pairs):
        if number % 2:
            others.append(other())
            ones.append(one())
        else:
            ones.append(one())
            others.append(other())
    return ones, others


def ratio(ones: Sequence[float], others: Sequence[float]) -> Ratio:
    quotients = [one / other for one, other in zip(ones, others, strict=True)]
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(quotients, k=len(quotients))) for _ in range(_RESAMPLES))
    return Ratio(
        median=statistics.median(quotients),
        low=medians[int(_RESAMPLES * 0.025)],
        high=medians[int(_RESAMPLES * 0.975)],
        pairs=len(quotients),
    )


class Verdict(IntEnum):
    """What a measurement says of a limit; the largest of several is the worst."""

    PROVEN = 0
    OPEN = 1
    BROKEN = 2

    @property
    def code(self) -> int:
        """To end a bench with; script/full-results knows them."""
        return {Verdict.PROVEN: 0, Verdict.OPEN: _OPEN, Verdict.BROKEN: 1}[self]

    def __str__(self) -> str:
        return "BROKEN" if self is Verdict.BROKEN else self.name.lower()


def judged(found: Ratio, limit: float) -> Verdict:
    """Proven when the whole interval keeps the limit, broken when none of it does. All between is open: of an
    interval that contains the limit nothing is known, nor of fewer pairs than make one."""
    if found.low > limit:
        return Verdict.BROKEN
    return Verdict.PROVEN if found.high <= limit and found.pairs >= _FEWEST else Verdict.OPEN


def verdict(name: str, found: Ratio, limit: float) -> Verdict:
    """Print one line."""
    said = judged(found, limit)
    print(f"{name:<44} {found}  limit {limit:g}  {said}")
    return said
