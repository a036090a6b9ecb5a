"""The tables of jobs.py, tokens.py and answers.py, for who only opens the catalog: what is kept in it that is
of no machine, and outlives those.

Like that of leases.py they are no part of the format. In a catalog that was rebuilt they are empty: nobody
comes in over a network until new tokens are made.
"""

JOBS = """
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
TOKENS = """
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
ANSWERS = """
    CREATE TABLE {} answers (
        key   TEXT PRIMARY KEY,
        said  TEXT NOT NULL,
        owner TEXT NOT NULL,
        made  TEXT NOT NULL,
        job   INTEGER
    ) STRICT
"""
