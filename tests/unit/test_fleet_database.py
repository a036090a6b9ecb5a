"""One connection for several threads."""

import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, Corrupt, TimedOut, Unsupported
from skinnybox.fleet.catalog.database import Database


@pytest.fixture
def numbers(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.db", ["CREATE TABLE numbers (n INTEGER)"], lambda: True, {})
    with database.writing():
        database.many("INSERT INTO numbers VALUES (?)", [(n,) for n in range(100)])
    yield database
    database.close()


def test_threads_that_ask_the_same_get_their_own_answers(numbers: Database) -> None:
    """From Python 3.12 on they met in one prepared statement: InterfaceError, or the other's answer."""

    def asked(n: int) -> list[tuple[int]]:
        return numbers.all("SELECT n FROM numbers WHERE n = ?", (n % 100,))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(asked, range(5000))) == [[(n % 100,)] for n in range(5000)]


@pytest.mark.durable
def test_a_commit_is_waited_for_but_a_note_is_not(numbers: Database) -> None:
    """1 is NORMAL and 2 is FULL: with less, a power cut takes back what a command said was done."""

    def waits() -> int:
        return int(numbers.all("PRAGMA synchronous")[0][0])

    with numbers.writing():
        assert waits() == 2
    with numbers.noting():
        assert waits() == 1
    with pytest.raises(ZeroDivisionError), numbers.noting():
        raise ZeroDivisionError
    assert waits() == 2


def test_nobody_sees_what_may_be_undone(numbers: Database) -> None:
    found: list[int] = []
    reader = threading.Thread(
        target=lambda: found.append(numbers.all("SELECT count(*) FROM numbers")[0][0]), daemon=True
    )
    with pytest.raises(ZeroDivisionError), numbers.writing():
        numbers.execute("DELETE FROM numbers")
        reader.start()
        reader.join(0.5)  # it waits for us, or has its answer long before
        raise ZeroDivisionError
    reader.join()
    assert found == [100]


FAMILY = """
    CREATE TABLE parents (n INTEGER PRIMARY KEY);
    CREATE TABLE children (n INTEGER REFERENCES parents (n) ON DELETE CASCADE)
"""


def test_what_belongs_to_a_row_goes_with_it(tmp_path: Path) -> None:
    """SQLite looks at foreign keys only where it is told to: a deleted machine's host keys would come back
    with the next machine that has its UUID."""
    database = Database(tmp_path / "state.db", [FAMILY], lambda: True)
    database.execute("INSERT INTO parents VALUES (1), (2)")
    database.execute("INSERT INTO children VALUES (1), (2)")
    with pytest.raises(Conflict):
        database.execute("INSERT INTO children VALUES (3)")
    database.execute("DELETE FROM parents WHERE n = 1")
    assert database.all("SELECT n FROM children") == [(2,)]
    database.close()


def test_two_who_write_wait_for_each_other(numbers: Database) -> None:
    """From the beginning of the block on, not from its first change: what was read in it still holds then."""
    other = Database(numbers.path, [""], lambda: True)
    order: list[str] = []

    def second() -> None:
        with other.writing():
            order.append(f"second sees {other.all('SELECT count(*) FROM numbers')[0][0]}")
            other.execute("DELETE FROM numbers")

    later = threading.Thread(target=second)
    with numbers.writing():
        later.start()
        later.join(0.3)
        numbers.execute("DELETE FROM numbers WHERE n > 9")
        order.append("first is done")
    later.join()
    assert order == ["first is done", "second sees 10"]
    assert numbers.all("SELECT count(*) FROM numbers") == [(0,)]
    other.close()


def test_readers_do_not_wait_for_who_writes(numbers: Database) -> None:
    other = Database(numbers.path, [""], lambda: True)
    with numbers.writing():
        numbers.execute("DELETE FROM numbers")
        assert other.all("SELECT count(*) FROM numbers") == [(100,)]
    assert other.all("SELECT count(*) FROM numbers") == [(0,)]
    other.close()


def test_one_that_is_kept_busy_is_said_to_be(numbers: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skinnybox.fleet.catalog.database._PATIENCE", 0.1)
    other = Database(numbers.path, [""], lambda: True)
    with numbers.writing(), pytest.raises(TimedOut, match="in use by another command"), other.writing():
        pass
    other.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """With the files beside it that SQLite makes: they hold the same rows."""
    database = Database(tmp_path / "state.db", ["CREATE TABLE seeds (text TEXT)"], lambda: True)
    with database.writing():
        database.execute("INSERT INTO seeds VALUES ('secret')")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["state.db", "state.db-shm", "state.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    database.close()


def test_a_migration_happens_whole_or_not_at_all(tmp_path: Path) -> None:
    first = "CREATE TABLE numbers (n INTEGER); INSERT INTO numbers VALUES (7)"
    database = Database(tmp_path / "state.db", [first], lambda: True)
    with database.writing():
        pass
    database.close()
    broken = "ALTER TABLE numbers ADD COLUMN m INTEGER; INSERT INTO nowhere VALUES (1)"
    with pytest.raises(Corrupt):
        Database(tmp_path / "state.db", [first, broken], lambda: False)
    database = Database(tmp_path / "state.db", [first], lambda: False)
    assert database.all("SELECT * FROM numbers") == [(7,)]
    database.close()
    whole = "ALTER TABLE numbers ADD COLUMN m INTEGER DEFAULT 8"
    for _ in range(2):
        database = Database(tmp_path / "state.db", [first, whole], lambda: False)
        assert database.all("SELECT * FROM numbers") == [(7, 8)]
        database.close()
    with pytest.raises(Unsupported, match="format 2, known: 1"):
        Database(tmp_path / "state.db", [first], lambda: False)


def test_a_file_is_made_by_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.db"
    statements = ["CREATE TABLE numbers (n INTEGER)"]
    first, second = (Database(path, statements, lambda: True) for _ in range(2))
    assert first.all("SELECT * FROM numbers") == [] and not path.parent.exists()
    with second.writing():
        second.execute("INSERT INTO numbers VALUES (7)")
    with first.writing():
        first.execute("INSERT INTO numbers VALUES (8)")
    for database in (first, second):
        assert database.all("SELECT * FROM numbers") == [(7,), (8,)]
        database.close()
    with pytest.raises(Corrupt, match="is lost"):
        Database(tmp_path / "state.db", statements, lambda: False)
    assert not (tmp_path / "state.db").exists()


@pytest.mark.parametrize(
    ("noted", "where"),
    [
        (None, "they are in {folder}/instances"),
        ("memory\n", "they are in {folder}/instances"),
        ("xapi\n", "they are in their pool"),
        ("\n", "where they are, nobody can read in host"),
    ],
)
def test_of_a_lost_one_it_is_told_where_the_machines_are(
    tmp_path: Path, noted: str | None, where: str
) -> None:
    if noted is not None:
        (tmp_path / "host").write_text(noted)
    with pytest.raises(Corrupt) as lost:
        Database(tmp_path / "state.db", ["CREATE TABLE numbers (n INTEGER)"], lambda: False)
    assert lost.value.message.endswith(f"but machines were made: {where.format(folder=tmp_path)}")
    assert lost.value.hint and "repair" in lost.value.hint
