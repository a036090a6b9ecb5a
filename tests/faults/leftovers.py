"""What of a state folder nobody accounts for: what is not in the table of layout.py, is there only while a
command works, or belongs to a machine that is none."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from skinnybox import layout


def unexplained(state: Path) -> list[Path]:
    """Relative, in order."""
    return sorted(_unexplained(state))


def _unexplained(state: Path) -> Iterator[Path]:
    machines = _machines(state)
    for path in state.rglob("*"):
        place = path.relative_to(state)
        found = layout.placed(str(place))
        if found is None:
            yield place
            continue
        stray = found.machine is not None and found.machine not in machines
        empty = place.parent == Path("instances") and not (path / "instance.json").exists()
        if stray or empty:
            yield place


def _machines(state: Path) -> set[str]:
    """The machines that are settled: what is half made or half deleted explains nothing."""
    if not (state / "state.db").exists():
        return set()
    with closing(sqlite3.connect(f"file:{state}/state.db?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT uuid FROM instances WHERE phase = 'defined'")
        return {uuid for (uuid,) in rows}
