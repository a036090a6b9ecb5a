"""Names read without opening the fleet, for shell completion: quick, and never creating or repairing."""

from contextlib import closing
from pathlib import Path


def machine_names(state: Path) -> list[str]:
    path = state / "state.db"
    if not path.exists():
        return []
    import sqlite3

    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.2)) as db:
            return [name for (name,) in db.execute("SELECT name FROM instances ORDER BY name")]
    except (sqlite3.Error, UnicodeDecodeError):  # the latter of bytes that were damaged
        return []


def master_references(state: Path) -> list[str]:
    import json

    found = []
    for manifest in (state / "masters").glob("[0-9a-f]*/manifest.json"):
        try:
            values = json.loads(manifest.read_bytes())
            found.append(f"{values['name']}:{values['version']}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return sorted(found)
