"""The table of jobs.py, for who only opens the catalog."""

TABLE = """
    CREATE TABLE {} jobs (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        verb     TEXT NOT NULL,
        subjects TEXT NOT NULL,
        actor    TEXT NOT NULL,
        origin   TEXT NOT NULL,
        owner    TEXT NOT NULL,
        begun    TEXT NOT NULL,
        ended    TEXT,
        condition    TEXT NOT NULL,
        step     TEXT,
        log      TEXT NOT NULL DEFAULT '',
        error    TEXT,
        results  TEXT NOT NULL DEFAULT '[]',
        unwanted INTEGER NOT NULL DEFAULT 0
    ) STRICT
"""
"""Like that of leases.py no part of the format. Jobs are of no machine: they outlive those."""
