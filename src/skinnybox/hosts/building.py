"""How a disk is built that is to take the place of another."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from skinnybox.model import DiskKind
from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """`build(old, new)` fills `new` in place, a blank private file of `size` bytes with the allocation of the
    instance; it only reads `old`, for which nobody else has a use meanwhile. With `keep` the old disk is not
    gone then, but a snapshot of this label, without being copied; of overlays only."""

    size: int
    build: Callable[[Path, Path], None]
    keep: str | None = None


Buildings: TypeAlias = Mapping[DiskKind, Building]
