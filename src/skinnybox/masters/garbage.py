"""What of the masters nobody needs: old versions, and what makers that died left behind."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from skinnybox import run
from skinnybox.errors import UsageError
from skinnybox.masters.catalogue import folder, masters
from skinnybox.masters.workspace import HIDDEN, alive
from skinnybox.model import Master


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """A master (`master` says which) or a hidden folder of dead work, and the bytes it takes on the disk."""

    name: str
    size: int
    master: Master | None = None


def garbage(store: Path, is_needed: Callable[[Master], bool], *, keep: int) -> list[Garbage]:
    """Masters that are not needed, but for the `keep` newest of each name; then dead work. Hold `locked`."""
    if keep < 0:
        raise UsageError("--keep counts masters: 0 or more")
    found = []
    for _, versions in groupby(masters(store), key=lambda master: master.name):
        known = list(versions)
        found += [master for master in known[: len(known) - keep] if not is_needed(master)]
    unused = [
        Garbage(name=master.reference, size=_taken(folder(store, master)), master=master) for master in found
    ]
    return unused + dead_work(store)


def dead_work(store: Path) -> list[Garbage]:
    if not store.is_dir():
        return []
    hidden = sorted(place for place in store.iterdir() if place.name.startswith(HIDDEN))
    return [Garbage(name=place.name, size=_taken(place)) for place in hidden if not alive(place)]


def _taken(place: Path) -> int:
    """What may not be read, or is mounted there, counts for nothing."""
    done = run.run(["du", "--summarize", "--one-file-system", "--block-size=1", "--", place], ok=range(2))
    total, _, _ = done.stdout.partition(b"\t")
    return int(total or 0)
