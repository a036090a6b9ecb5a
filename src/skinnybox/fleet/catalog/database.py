"""The SQLite file below the catalog: opened, brought up to date, and every failure of it named.

Its format is counted in `PRAGMA user_version`. An older one is migrated when it is opened; a newer one, or
one that is damaged or lost, is rebuilt by `skinnybox repair` from the records that lie beside the overlays.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from skinnybox import private
from skinnybox.errors import Conflict, Corrupt, NoSpace, SkinnyboxError, TimedOut, Unsupported
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.database_file import REPAIR, exists, unusable

_OF_A_MACHINE = "REFERENCES instances (uuid) ON DELETE CASCADE"
_PATIENCE = 30.0
_PAUSE = 0.02
_DURABLE = "FULL"
"""What is committed survives a power cut: each commit is waited for. SQLite can be built with less."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_DENIED = (
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOLFS,
)  # fmt: skip
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Database:
    """One connection, for several threads. Raises Corrupt when the file is damaged, NoSpace, TimedOut.

    Where nothing can be written it is only read, `read_only` says why, and `writing` tries anew each time:
    what is deleted meanwhile makes room.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        may_be_new: Callable[[], bool],
        additions: Mapping[str, str] | None = None,
    ) -> None:
        """`may_be_new` is asked before an empty file becomes a fresh catalog of no machine at all.
        `additions` are tables, by name, that are no part of the format: CREATE statements with two places to
        fill in, made where they are missing.

        The file, and the folder it is in, are made by the first who writes. Until then an empty catalog is
        read, which is in memory only: who looks on leaves nothing behind.
        """
        self.path = path
        self._migrations, self._additions = migrations, additions or {}
        self._may_be_new = may_be_new
        self._lock = threading.RLock()
        self.read_only: SkinnyboxError | None = None
        self.missing = ""
        self._pretended = not exists(path)
        if self._pretended and not may_be_new():
            raise _lost(path)
        self._db = self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        self._db = self._connected()
        try:
            self._migrate(self._migrations, self._may_be_new)
            self._add()
        except BaseException:
            self._db.close()
            raise
        return self._db

    def make(self) -> None:
        """The file is there when this returns. Idempotent."""
        self._settle(make=True)

    def _settle(self, *, make: bool) -> None:
        """From memory to the file, when there is one by now, or is to be."""
        with self._lock:
            if not self._pretended or not (make or exists(self.path)):
                return
            make_folder(self.path.parent)
            _make_private(self.path)
            self._db.close()
            self._pretended = False
            try:
                self._prepared()
            except BaseException:
                self._pretended = True
                self._prepared()
                raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def all(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        self._settle(make=False)
        with self._in_turn():
            return self._db.execute(query, values).fetchall()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> int:
        """How many rows it changed."""
        with self._in_turn():
            return self._db.execute(statement, values).rowcount

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """How many rows all of them changed."""
        with self._in_turn():
            return self._db.executemany(statement, rows).rowcount

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One durable transaction, by nobody else meanwhile; undone when the block fails. Not nested."""
        self.make()
        with self._transaction():
            yield

    @contextmanager
    def noting(self) -> Iterator[None]:
        """One transaction that is not waited for: a power cut may take it back, nothing else does. It makes
        no file where there is none, and raises where nothing can be written."""
        if self._pretended or self.read_only is not None:
            raise _Denied(f"nothing can be noted in {self.path}")
        with self._lock:
            self.execute("PRAGMA synchronous = NORMAL")
            try:
                with self._transaction():
                    yield
            finally:
                self.execute(f"PRAGMA synchronous = {_DURABLE}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            if self.read_only is not None:
                self._become_writable()
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        """To be read only where it cannot be more."""
        try:
            return self._writable()
        except (_Denied, NoSpace) as error:
            from skinnybox.fleet.catalog import read_only

            try:
                found, self.missing = read_only.opened(self.path)
            except sqlite3.Error:
                raise error from None
            self.read_only = error
            return found

    def _writable(self) -> sqlite3.Connection:
        """On a full disk there is no room for the file that processes share: then alone, without it."""
        try:
            return self._open("NORMAL")
        except (_Denied, NoSpace):
            return self._open("EXCLUSIVE")

    def _become_writable(self) -> None:
        """With a connection that was only for reading; raises why it cannot."""
        before, self._db = self._db, self._writable()
        before.close()
        self.read_only, self.missing = None, ""
        self._add()

    def _open(self, locking: str) -> sqlite3.Connection:
        with self._in_turn():
            file = ":memory:" if self._pretended else self.path
            opened = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                opened.execute(f"PRAGMA locking_mode = {locking}")
                opened.execute("PRAGMA foreign_keys = ON")
                opened.execute(f"PRAGMA synchronous = {_DURABLE}")
                opened.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                if not (
                    self._pretended or os.access(self.path, os.W_OK)
                ):  # SQLite reads quietly what it may not write
                    raise sqlite3.OperationalError("attempt to write a readonly database")
            except BaseException:
                opened.close()
                raise
        return opened

    def _migrate(self, migrations: Sequence[str], may_be_new: Callable[[], bool]) -> None:
        version = self._version()
        if version == len(migrations):
            return
        if version > len(migrations):
            raise Unsupported(
                f"{self.path} was written by a newer Skinnybox: format {version}, known: {len(migrations)}",
                hint=f"upgrade; or {REPAIR}, for this version",
            )
        if not may_be_new() and self._version() == 0:  # looked at again: another process may have begun it
            raise _lost(self.path)
        self._share()
        with self._transaction():
            for number in range(self._version(), len(migrations)):
                for statement in migrations[number].split(";"):
                    self.execute(statement)
                self.execute(f"PRAGMA user_version = {number + 1}")

    def _add(self) -> None:
        """On a disk without room for a new table, one of this process alone does, so that it can still be
        read, and machines deleted."""
        there = {name for (name,) in self.all("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        additions = self._additions
        for name in additions.keys() - there:
            try:
                with self._transaction():
                    self.execute(additions[name].format("IF NOT EXISTS", _OF_A_MACHINE))
            except (_Denied, NoSpace):
                self.execute("PRAGMA temp_store = MEMORY")
                self.execute(additions[name].format("", "").replace("TABLE", "TEMP TABLE", 1))

    def _share(self) -> None:
        """Readers beside a writer. SQLite does not wait here for another process that does the same."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.execute("PRAGMA journal_mode = WAL")
                return
            except TimedOut:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)

    def _version(self) -> int:
        return int(self.all("PRAGMA user_version")[0][0])

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One thread after the other: sqlite3 keeps one prepared statement for all who ask the same, and
        what is not committed yet would be seen. Failures get their names here."""
        try:
            with self._lock:
                yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise _explained(self.path, error) from error


class _Denied(SkinnyboxError):
    """The system keeps us from the file, or from writing to it."""


def _explained(path: Path, error: sqlite3.DatabaseError | UnicodeDecodeError) -> SkinnyboxError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _BUSY:
        return TimedOut(f"{path} is in use by another command for more than {_PATIENCE:g} s")
    if code in _DENIED and isinstance(error, sqlite3.DatabaseError):
        from skinnybox.fleet.catalog import read_only

        why = read_only.why_not(path, error)
        return why if isinstance(why, NoSpace) else _Denied(why.message, hint=why.hint)
    if code == sqlite3.SQLITE_CONSTRAINT:
        return Conflict(f"{path}: {error}")
    if code in _DAMAGED:
        return Corrupt(f"{path} is not a readable database: {error}", hint=REPAIR)
    return SkinnyboxError(f"{path}: {error}")


def damaged(why: str) -> Corrupt:
    """For what SQLite itself does not see."""
    return Corrupt(f"the catalog is damaged: {why}", hint=REPAIR)


def _lost(path: Path) -> Corrupt:
    known = host_kind.lost(path.parent) is None
    where = "their pool" if host_kind.are_elsewhere(path.parent) else f"{path.parent}/instances"
    said = f"they are in {where}" if known else f"where they are, nobody can read in {host_kind.FILE}"
    return Corrupt(f"{path} is lost, but machines were made: {said}", hint=REPAIR)


def _make_private(path: Path) -> None:
    """The records hold seeds, and the folder may be open to others. SQLite's other files take its mode."""
    with suppress(OSError):  # there already, or about to be found out
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def make_folder(folder: Path) -> None:
    """The state folder. Idempotent."""
    try:
        private.make_folder(folder)
    except OSError as error:
        raise unusable(folder, "made", error) from error
