"""Names for shell completion, from what may be damaged."""

import sqlite3
from contextlib import closing
from pathlib import Path

from skinnybox.fleet.catalog import completion


def test_names_that_are_no_text_are_none(tmp_path: Path) -> None:
    """It says nothing rather than end with a traceback."""
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        database.execute("CREATE TABLE instances (name TEXT)")
        database.execute("INSERT INTO instances VALUES (CAST(x'776562eb2d' AS TEXT))")
    assert completion.machine_names(tmp_path) == []
