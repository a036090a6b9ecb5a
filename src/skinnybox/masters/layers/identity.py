"""What two people compare of a layer: the digest of its content and of whom it is for."""

import hashlib
from pathlib import Path

from skinnybox.masters.index import read_lines


def content_id(index: Path, made_for: str, *, only: bool, master: str) -> str:
    """Over the canonical index. The same files for another master are another layer: their folders are that
    one's. `made_for` is NAME:VERSION, of which the name counts; with `only` the id of that very `master`."""
    whom = master if only else made_for.partition(":")[0]
    total = hashlib.sha256(f"skinnybox-layer 1\nfor {whom}\n".encode())
    for line in read_lines(index):
        total.update(line.raw)
    return f"sha256:{total.hexdigest()}"
