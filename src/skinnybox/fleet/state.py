"""The fleet's memory: which instances there are, under which names. SQLite; the hosts hold the truth.

A name is claimed before anything is made on a host and given back after everything is gone, so a process
killed in between leaves a row that says what it was doing and who it was; the next command finishes it.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox.errors import Conflict, Corrupt, SkinnyboxError
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import Instance

MIGRATIONS = (
    """
    CREATE TABLE instances (
        uuid     TEXT PRIMARY KEY,
        name     TEXT NOT NULL UNIQUE,
        phase    TEXT NOT NULL CHECK (phase IN ('creating', 'defined', 'deleting')),
        owner    TEXT,
        master   TEXT NOT NULL,
        ssh_port INTEGER UNIQUE,
        record   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX instances_by_master ON instances (master);
    CREATE TABLE host_keys (
        uuid TEXT PRIMARY KEY REFERENCES instances (uuid) ON DELETE CASCADE,
        keys TEXT NOT NULL
    ) STRICT;
    """,
)


_COLUMNS = "phase, owner, record, keys"


class Phase(StrEnum):
    CREATING = "creating"
    DEFINED = "defined"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One machine as remembered. `owner` is the process that is creating or deleting it."""

    instance: Instance
    phase: Phase
    owner: str | None
    host_keys: tuple[str, ...] = ()


class State:
    """Every method is one transaction, and may be called from several threads."""

    def __init__(self, path: Path) -> None:
        _make_folder(path.parent)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA foreign_keys = ON")
        self._lock = threading.RLock()
        self._migrate(path)

    def close(self) -> None:
        self._db.close()

    def _migrate(self, path: Path) -> None:
        version = self._version(path)
        if version == len(MIGRATIONS):
            return
        if version > len(MIGRATIONS):
            raise Conflict(
                f"{path} was written by a newer Skinnybox: format {version}, known: {len(MIGRATIONS)}",
                hint="use the newer one, or another state folder",
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        with self._writing():
            for number in range(self._version(path), len(MIGRATIONS)):
                for statement in MIGRATIONS[number].split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number + 1}")

    def _version(self, path: Path) -> int:
        try:
            return int(self._db.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.DatabaseError as error:
            raise Corrupt(
                f"{path} is not a readable database: {error}",
                hint="move it aside: each machine's record also lies beside its overlay, in instance.json",
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def claim(self, instances: Sequence[Instance]) -> None:
        """Take all the names, or none. Conflict naming those that are taken."""
        rows = [
            (str(i.uuid), i.name, Phase.CREATING, process_mark(), i.stack.master, i.ssh_port, _text(i))
            for i in instances
        ]
        with self._writing():
            taken = self.taken(i.name for i in instances)
            if taken:
                raise Conflict(
                    f"{len(taken)} of {len(instances)} names are taken: {', '.join(taken[:5])}",
                    hint="--skip-existing creates only the others",
                )
            self._db.executemany("INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def taken(self, names: Iterable[str]) -> list[str]:
        existing = set(self.names())
        return [name for name in names if name in existing]

    def settle(self, instances: Iterable[Instance]) -> None:
        """They exist now, as their records say."""
        with self._writing():
            self._db.executemany(
                "UPDATE instances SET phase = 'defined', owner = NULL, record = ? WHERE uuid = ?",
                [(_text(instance), str(instance.uuid)) for instance in instances],
            )

    def mark_deleting(self, instance: Instance) -> None:
        with self._writing():
            self._db.execute(
                "UPDATE instances SET phase = 'deleting', owner = ? WHERE uuid = ?",
                (process_mark(), str(instance.uuid)),
            )

    def forget(self, instances: Iterable[Instance]) -> None:
        with self._writing():
            self._db.executemany(
                "DELETE FROM instances WHERE uuid = ?", [(str(instance.uuid),) for instance in instances]
            )

    def names(self) -> list[str]:
        return [name for (name,) in self._db.execute("SELECT name FROM instances ORDER BY name")]

    def rows(self, names: Sequence[str] | None = None) -> list[Row]:
        """Those named, in that order; all, by name, when none are given."""
        query = f"SELECT name, {_COLUMNS} FROM instances LEFT JOIN host_keys USING (uuid)"
        if names is not None and len(names) <= 500:
            marks = ",".join("?" * len(names))
            found = self._db.execute(f"{query} WHERE name IN ({marks})", list(names)).fetchall()
        else:
            found = self._db.execute(f"{query} ORDER BY name").fetchall()
        rows = {name: _row(*values) for name, *values in found}
        return list(rows.values()) if names is None else [rows[name] for name in names if name in rows]

    def unfinished(self) -> list[Row]:
        """What a process that is gone left half done."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM instances LEFT JOIN host_keys USING (uuid)"
            " WHERE phase <> 'defined' ORDER BY name"
        ).fetchall()
        rows = (_row(*values) for values in found)
        return [row for row in rows if not row.owner or not process_lives(row.owner)]

    def dependants(self, master: str) -> list[str]:
        """Names of the instances that need this master's id."""
        found = self._db.execute("SELECT name FROM instances WHERE master = ? ORDER BY name", (master,))
        return [name for (name,) in found]

    def ports(self) -> set[int]:
        found = self._db.execute("SELECT ssh_port FROM instances WHERE ssh_port IS NOT NULL")
        return {port for (port,) in found}

    def pin_host_keys(self, uuid: UUID, keys: tuple[str, ...]) -> None:
        """Remember the first keys a machine reported; later ones change nothing."""
        with self._writing():
            self._db.execute(
                "INSERT OR IGNORE INTO host_keys SELECT uuid, ? FROM instances WHERE uuid = ?",
                (json.dumps(keys), str(uuid)),
            )

    def unpin_host_keys(self, uuid: UUID) -> None:
        with self._writing():
            self._db.execute("DELETE FROM host_keys WHERE uuid = ?", (str(uuid),))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SkinnyboxError(
            f"the state folder {folder} cannot be made: {error.strerror}",
            hint="--state or SKINNYBOX_STATE names another one",
        ) from error


def process_mark(pid: int | None = None) -> str:
    """Names one process for good: boot, pid and start time."""
    pid = pid or os.getpid()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{boot}/{pid}/{start}"


def process_lives(mark: str) -> bool:
    try:
        return process_mark(int(mark.split("/")[1])) == mark
    except (OSError, ValueError, IndexError):
        return False


def _text(instance: Instance) -> str:
    return json.dumps(to_record(instance), separators=(",", ":"))


def _row(phase: str, owner: str | None, record: str, host_keys: str | None) -> Row:
    values: dict[str, Any] = json.loads(record)
    keys = tuple(json.loads(host_keys)) if host_keys else ()
    return Row(instance=from_record(values), phase=Phase(phase), owner=owner, host_keys=keys)
