"""The catalog where nothing can be written: on a read-only filesystem, or one without an inode left.

SQLite reads a database with a write-ahead log only beside two files of its own, which it makes on opening it.
Where it cannot, the database is read as it lies there, and what is still in the log, from a copy elsewhere.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from skinnybox.errors import NoSpace, SkinnyboxError, from_system, of_system

_ROOM = (sqlite3.SQLITE_FULL,)
_HINT = (
    "the disk fails, or a quota or a limit for the size of files is reached: `dmesg`, `quota`, `ulimit -f`"
)


def opened(path: Path) -> tuple[sqlite3.Connection, str]:
    """A connection that only reads, and what may be missing of what it reads, "" when nothing is. Raises
    sqlite3.Error when even that fails."""
    with suppress(sqlite3.Error):
        return _checked(_uri(path, "mode=ro")), ""
    if not _has_log(path):
        return _checked(_uri(path, "mode=ro&immutable=1")), ""  # nobody can write to it while we read
    try:
        return _copied(path), ""
    except OSError:
        missing = "what the last commands wrote is only in state.db-wal, which cannot be read here"
        return _checked(_uri(path, "mode=ro&immutable=1")), missing


def why_not(path: Path, error: sqlite3.DatabaseError) -> SkinnyboxError:
    """What keeps SQLite from opening or writing it: it does not say, so the system is asked."""
    refused = _refusal(path)
    if refused is not None:
        return of_system(refused, str(path))
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _ROOM:
        return NoSpace(f"{path}: the disk is full", hint="`skinnybox capacity`")
    return SkinnyboxError(f"{path}: {error}", hint=_HINT)


def _refusal(path: Path) -> OSError | None:
    import errno

    try:
        disk = os.statvfs(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error if from_system(error) else None
    if disk.f_flag & os.ST_RDONLY:
        return OSError(errno.EROFS, "")
    if not disk.f_bavail or (disk.f_files and not disk.f_favail):
        return OSError(errno.ENOSPC, "")
    return None


def _uri(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{how}", uri=True, isolation_level=None, check_same_thread=False
    )


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def _has_log(path: Path) -> bool:
    with suppress(OSError):
        return _log(path).stat().st_size > 0
    return False


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _copied(path: Path) -> sqlite3.Connection:
    """In memory, with what is in the log. Where there is no other disk, OSError."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        shutil.copyfile(path, copy)
        shutil.copyfile(_log(path), _log(copy))
        held = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        source = sqlite3.connect(copy)
        try:
            source.backup(held)
        except BaseException:
            held.close()
            raise
        finally:
            source.close()
    return held
