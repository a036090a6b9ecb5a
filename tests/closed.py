"""Whoever opens a catalog in a test closes it: since Python 3.13 one that is collected open is warned of, and
that fails whatever test it happens in."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Held against the test itself, by every Python."""
    connect, opened = sqlite3.connect, list[sqlite3.Connection]()

    def connected(*words: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*words, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", connected)
    yield
    left = [each for each in opened if _is_open(each)]
    for each in left:
        each.close()
    assert not left, f"{len(left)} of {len(opened)} connections to a catalog were not closed: fleet.close()"


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False
