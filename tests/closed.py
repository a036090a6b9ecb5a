"""Whoever opens a fleet in a test closes it: since Python 3.13 a catalog that is collected open is warned of,
and that fails whatever test it happens in."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from skinnybox.fleet.service import Fleet


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Held against the test itself, by every Python. What several tests share was opened before this."""
    usual, opened = Fleet.__init__, list[Fleet]()

    def init(fleet: Fleet, *words: Any, **options: Any) -> None:
        usual(fleet, *words, **options)
        opened.append(fleet)

    monkeypatch.setattr(Fleet, "__init__", init)
    yield
    left = [each for each in opened if _is_open(each)]
    for each in left:
        each.__exit__(None, None, None)
    assert not left, f"{len(left)} of {len(opened)} fleets were not closed: with open_fleet(...)"


def _is_open(fleet: Fleet) -> bool:
    if "_catalog" not in vars(fleet):
        return False  # it is opened by who first asks for it
    connection: sqlite3.Connection = fleet._catalog._db._db
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False
