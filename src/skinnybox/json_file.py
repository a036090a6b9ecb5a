"""A small JSON file of ours: replaced whole, and read as far as it can be."""

import json
import os
from pathlib import Path
from typing import Any

from skinnybox import named_file, private

_LIMIT = 1 << 20


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Atomic: whoever reads sees the old values or the new."""
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with private.create(beside) as file:
            file.write(json.dumps(values).encode())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """None when there is nothing, or nothing whole."""
    try:
        values = json.loads(named_file.content(path, _LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
