"""What may lie in a state folder (docs/reference/on-disk.md), and what of it nobody accounts for."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KNOWN = re.compile(
    rf"""
    (?P<database> state\.db (?:-wal|-shm|-journal)? ) | host | fleet | pool
  | masters | masters/\.lock
  | masters/[0-9a-f]{{64}} (?: /(?: root\.erofs | root-dax\.erofs | kernel | initrd
                              | manifest\.json | index\.jsonl\.gz ) )?
  | instances | instances/(?P<instance> {_UUID} ) (?: /(?: instance\.json | overlay\.img
                                   | snapshots (?: /[^/.][^/]*\.(?: img | json ) )? ) )?
  | run | run/supervisor (?: \.lock | \.log )? | run/events\.jsonl (?: \.1 )?
  | run/(?P<run> {_UUID} ) (?: /(?: machine\.json | end\.json | stopping | report\.json | rejected\.json
        | stalled | console\.log (?: \.1 )? | qemu\.log | console | report | qmp | events ) )?
  | verified | verified/[0-9a-f]{{64}}\.json | pretended\.json | pretended\.lock
  | templates | templates/overlay-\d+-\d+-\d+
  | ssh | ssh/\.lock | ssh/id_ed25519 (?: \.pub )? | ssh/known_hosts (?: /(?P<known_host> {_UUID} ) )?
    """,
    re.VERBOSE,
)


def unexplained(state: Path) -> list[Path]:
    """Everything in a state folder that on-disk.md does not name or that belongs to no machine; relative."""
    return sorted(_unexplained(state))


def _unexplained(state: Path) -> Iterator[Path]:
    machines = _machines(state)
    for path in state.rglob("*"):
        place = path.relative_to(state)
        found = _KNOWN.fullmatch(str(place))
        if found is None:
            yield place
            continue
        owner = found["instance"] or found["run"] or found["known_host"]
        stray = owner is not None and owner not in machines
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
