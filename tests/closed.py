"""Whoever opens a catalog in a test closes it: since Python 3.13 one that is collected open is warned of, and
that fails whatever test it happens in."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from skinnybox.fleet.catalog.database import Database


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Held against the test itself, by every Python. What is shared by several tests is older than this."""
    usual, opened = Database.__init__, list[Database]()

    def init(database: Database, *words: Any, **options: Any) -> None:
        usual(database, *words, **options)
        opened.append(database)

    monkeypatch.setattr(Database, "__init__", init)
    yield
    left = [each for each in opened if _is_open(each._db)]
    for each in left:
        each.close()
    assert not left, f"{len(left)} of {len(opened)} catalogs were not closed: fleet.close()"


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False
