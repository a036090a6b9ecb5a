"""Names read without opening the fleet, for shell completion: quick, and never creating or repairing."""

import os
from contextlib import closing
from pathlib import Path

from skinnybox import named_file
from skinnybox.errors import SkinnyboxError

_MOST = 1 << 20


def machine_names(state: Path) -> list[str]:
    return _texts(state, "SELECT name FROM instances ORDER BY name")


def token_ids(state: Path) -> list[str]:
    return _texts(state, "SELECT id FROM tokens ORDER BY id")


def _texts(state: Path, query: str) -> list[str]:
    path = state / "state.db"
    if not os.access(path, os.R_OK):
        return []
    import sqlite3

    from skinnybox.fleet.catalog import read_only
    from skinnybox.fleet.catalog.database_file import exists

    try:
        exists(path)
        with closing(read_only.opened(path)[0]) as db:
            return [text for (text,) in db.execute(query)]
    except (sqlite3.Error, UnicodeDecodeError, SkinnyboxError):  # the second of bytes that were damaged
        return []


def snapshot_labels(state: Path) -> list[str]:
    """Of all machines whose overlays lie here, each once."""
    found = {record.stem for record in state.glob("instances/*/snapshots/[A-Za-z0-9]*.json")}
    return sorted(label for label in found if label.isprintable())


def master_references(state: Path) -> list[str]:
    return _references(state / "masters")


def layer_references(state: Path) -> list[str]:
    return _references(state / "layers")


def _references(store: Path) -> list[str]:
    import json

    found = []
    for manifest in store.glob("[0-9a-f]*/manifest.json"):
        try:
            values = json.loads(named_file.content(manifest, _MOST))
            found.append(f"{values['name']}:{values['version']}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return sorted(found)
