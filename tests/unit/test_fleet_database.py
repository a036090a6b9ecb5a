"""One connection for several threads."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

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
