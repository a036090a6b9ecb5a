"""Files of a master that make overlays heavy: the first byte a machine writes to one brings all of it there.

overlayfs copies whole files. So it is told of large ones that services write to in place: those below /var,
where such files belong, and the databases' own wherever they are in it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from pathlib import Path

from skinnybox import named_file
from skinnybox.masters.index import Entry, read_below
from skinnybox.printable import printable
from skinnybox.sizes import MIB, format_size

LARGE = 16 * MIB
LARGE_OF_DATABASE = 4 * MIB
"""An ibdata1 starts with 12 MiB, a transaction log of PostgreSQL has 16."""
_NOT = (b"var/log/", b"var/cache/")
_DATABASE = re.compile(
    rb"(?:ib_logfile\d+|ib_redo\d+|ibdata\d+|undo_?\d+|aria_log\.\d+|.*\.ibd|[0-9A-F]{24}|WiredTiger.*"
    rb"|.*\.(?:sqlite3?|mdb))"
)
_TOLD = 5
WAY_OUT = (
    "a machine that writes to one has all of it in its overlay: keep their folder on a data disk "
    "(`create --data 4G --data-dir /var/lib/mysql`), have such files made at its first start "
    "(`create --run-once`), or make them smaller before sealing (of MariaDB: innodb_log_file_size)"
)


def watched(entries: Iterable[Entry], found: list[Entry]) -> Iterator[Entry]:
    """The entries as they come; those that are heavy are added to `found`."""
    for entry in entries:
        if is_heavy(entry):
            found.append(entry)
        yield entry


def recorded(index: Path, attend: Callable[[], None] = lambda: None) -> list[Entry]:
    """Those of a sealed master, by its index alone. `attend` is called all the while, and may raise. Raises
    Corrupt, OSError."""
    with named_file.opened(index) as file:
        return [entry for entry in read_below(file, b"var", attend) if is_heavy(entry)]


def is_heavy(entry: Entry) -> bool:
    if entry.type != "-" or not entry.path.startswith(b"var/") or entry.path.startswith(_NOT):
        return False
    known = _DATABASE.fullmatch(entry.path.rpartition(b"/")[2]) is not None
    return entry.size >= (LARGE_OF_DATABASE if known else LARGE)


def told(found: Iterable[Entry]) -> list[str]:
    """Lines for a person, the largest first; none when there is nothing to tell. A file with several names is
    told of once."""
    named = listed(found)
    return [f"copied up whole when written to: {named}", WAY_OUT] if named else []


def listed(found: Iterable[Entry]) -> str:
    """The same in one line, without what to do about it."""
    files: dict[bytes, Entry] = {}
    for entry in found:
        files.setdefault(entry.link or entry.path, entry)
    lines = [f"/{printable(_text(entry.path))}, {format_size(entry.size)}" for entry in _largest(files)]
    if len(files) > _TOLD:
        lines.append(f"and {len(files) - _TOLD} more")
    return "; ".join(lines)


def _largest(files: dict[bytes, Entry]) -> list[Entry]:
    return nlargest(_TOLD, files.values(), key=lambda entry: entry.size)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
