"""What making a machine asks of the system, and nothing else: what create.py is held against.

Every byte is known beforehand, and no path is put together but as text: a program in C would save a tenth.
"""

import os
import posix
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from skinnybox.overlays.runs import filled
from skinnybox.overlays.template import Template, template

_RECORD = b"x" * 1200
_BATCH = 100
_SOME = 300
_TABLE = "CREATE TABLE machines (uuid TEXT PRIMARY KEY, name TEXT UNIQUE, phase TEXT, record TEXT)"
_CONFIRMED = "UPDATE machines SET phase = 'defined' WHERE uuid = ?"
Writes = list[tuple[int, bytes]]


def calls(folder: Path, size: int) -> Callable[[int], float]:
    """Makes so many, each time others, and gives the processor seconds for one."""
    made = template(folder / "state" / "templates", size)
    writes = _writes(made)

    def act(count: int) -> float:
        place = folder / "bare"
        place.mkdir()
        begun = time.process_time()
        _make(f"{place}", [f"{number:036}" for number in range(count)], made.size, writes)
        taken = (time.process_time() - begun) / count
        shutil.rmtree(place)
        return taken

    return act


def one_by_one(folder: Path, size: int) -> dict[str, float]:
    """Processor seconds for one, of each kind of thing that is asked."""
    made = template(folder / "state" / "templates", size)
    writes = _writes(made)
    pages = sum(-(-len(data) // 4096) for _, data in writes)
    kinds: dict[str, Callable[[str], None]] = {
        "a folder": lambda path: posix.mkdir(path, 0o700),
        "an empty file, whole when it has its name": lambda path: _put(path, 0, []),
        f"a sparse overlay, {len(writes)} writes, {pages} pages": lambda path: _put(path, made.size, writes),
        "the same, named before it is whole": lambda path: _named(path, made.size, writes),
        f"a record of {len(_RECORD)} bytes": lambda path: _put(path, 0, [(0, _RECORD)]),
    }
    return {name: _taken(folder / "bare", ask) for name, ask in kinds.items()}


def _writes(made: Template) -> Writes:
    own = {part: b"x" * 400 for _, parts in made.runs for part in parts if isinstance(part, str)}
    fixed = {"uuid": 16, "hash seed": 16, "base": 4096, "identity": 0}
    own |= {name: b"x" * fixed.get(name, 4) for name in own if name != "seed"}
    filled_runs = ((offset, filled(parts, own)) for offset, parts in made.runs)
    return [(offset, data) for offset, data in filled_runs if data]


def _taken(place: Path, ask: Callable[[str], None]) -> float:
    place.mkdir()
    paths = [f"{place}/{number}" for number in range(_SOME)]
    begun = time.process_time()
    for path in paths:
        ask(path)
    taken = (time.process_time() - begun) / _SOME
    shutil.rmtree(place)
    return taken


def _make(place: str, names: list[str], size: int, writes: Writes) -> None:
    catalog = sqlite3.connect(f"{place}/state.db", isolation_level=None)
    catalog.execute("PRAGMA journal_mode = WAL")
    catalog.execute(
        "CREATE TABLE machines (uuid TEXT PRIMARY KEY, name TEXT UNIQUE, phase TEXT, record TEXT)"
    )
    text = _RECORD.decode()
    catalog.execute("BEGIN IMMEDIATE")
    catalog.executemany("INSERT INTO machines VALUES (?, ?, 'creating', ?)", ((n, n, text) for n in names))
    catalog.execute("COMMIT")
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        for name in batch:
            posix.mkdir(f"{place}/{name}", 0o700)
            _put(f"{place}/{name}/overlay.img", size, writes)
        for name in batch:
            _put(f"{place}/{name}/instance.json", 0, [(0, _RECORD)])
        catalog.execute("BEGIN IMMEDIATE")
        catalog.executemany(_CONFIRMED, ((name,) for name in batch))
        catalog.execute("COMMIT")
    catalog.close()


def _put(path: str, size: int, writes: Writes) -> None:
    descriptor = os.open(path.rpartition("/")[0], os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    _fill(descriptor, size, writes)
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
    os.close(descriptor)


def _named(path: str, size: int, writes: Writes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    _fill(descriptor, size, writes)
    os.close(descriptor)


def _fill(descriptor: int, size: int, writes: Writes) -> None:
    if size:
        os.ftruncate(descriptor, size)
    for offset, data in writes:
        os.pwrite(descriptor, data, offset)
