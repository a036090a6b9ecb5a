"""The table of answers.py, for who only opens the catalog."""

TABLE = """
    CREATE TABLE {} answers (
        key   TEXT PRIMARY KEY,
        said  TEXT NOT NULL,
        owner TEXT NOT NULL,
        made  TEXT NOT NULL,
        job   INTEGER
    ) STRICT
"""
"""Like that of jobs.py no part of the format."""
