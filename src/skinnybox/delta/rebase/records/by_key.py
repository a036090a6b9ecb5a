"""Three sides of a record, by key: who wins for each."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.values import Fate

K = TypeVar("K")
V = TypeVar("V")


def merged(
    old: Mapping[K, V], new: Mapping[K, V], machine: Mapping[K, V], package: Callable[[K], Settled | None]
) -> dict[K, V]:
    """In the new master's order, then the machine's. What is a package's is as its side has it; of what is
    nobody's, what the machine changed is the machine's, and all else the new master's."""
    out: dict[K, V] = {}
    for key in [*new, *(key for key in machine if key not in new)]:
        value = chosen(package(key), old.get(key), new.get(key), machine.get(key))
        if value is not None:
            out[key] = value
    return out


def chosen(package: Settled | None, old: V | None, new: V | None, machine: V | None) -> V | None:
    """None where there is none."""
    if package is not None:
        return new if package.fate is Fate.TAKE else machine
    return new if machine == old else machine


def nobodys(_: object) -> None:
    """For records that are no package's."""
