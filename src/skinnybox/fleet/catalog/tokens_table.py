"""The table of tokens.py, for who only opens the catalog."""

TABLE = """
    CREATE TABLE {} tokens (
        id      TEXT PRIMARY KEY,
        name    TEXT NOT NULL,
        role    TEXT NOT NULL,
        fleet   TEXT,
        digest  TEXT NOT NULL,
        made    TEXT NOT NULL,
        maker   TEXT NOT NULL,
        expires TEXT,
        used    TEXT
    ) STRICT
"""
"""Like that of jobs.py no part of the format: a catalog that was rebuilt lets nobody in until new ones are
made."""
