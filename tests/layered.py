"""Trees that tests make layers of."""

import os
from pathlib import Path

DATED = 1_700_000_000


def planted(folder: Path, files: dict[str, str]) -> Path:
    """A tree of these files, all of one age."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (DATED, DATED), follow_symlinks=False)
    return folder
