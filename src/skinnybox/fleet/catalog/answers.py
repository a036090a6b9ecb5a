"""What was answered to requests that bear a key of their own, so that one that is sent again is answered the
same, and nothing is done twice: by whichever process, and after a restart."""

from datetime import UTC, datetime, timedelta

from skinnybox.errors import Conflict, UsageError
from skinnybox.fleet.catalog.database import Database
from skinnybox.fleet.catalog.owner import process_lives, process_mark

KEPT = 1000
KEPT_FOR = timedelta(days=1)


class Reused(UsageError):
    """A key was used for something else before."""

    http_status = 422


def claim(db: Database, key: str, said: str) -> int | None:
    """The job that was begun for this before; None: it is ours to begin one, and to `settle` or `give_up`.
    Reused when something else was said; Conflict while somebody begins one."""
    now = datetime.now(UTC)
    with db.writing():
        db.execute("DELETE FROM answers WHERE made < ?", ((now - KEPT_FOR).isoformat(),))
        found = db.all("SELECT said, owner, job FROM answers WHERE key = ?", (key,))
        for before, owner, job in found:
            if before != said:
                raise Reused(
                    "this key was sent with something else before", hint="a new key for each request"
                )
            if job is not None:
                return int(job)
            if process_lives(owner):
                raise Conflict("this very request is being answered", hint="ask again in a second")
        db.execute(
            "INSERT OR REPLACE INTO answers (key, said, owner, made) VALUES (?, ?, ?, ?)",
            (key, said, process_mark(), now.isoformat()),
        )
        db.execute(
            "DELETE FROM answers WHERE key NOT IN (SELECT key FROM answers ORDER BY made DESC LIMIT ?)",
            (KEPT,),
        )
    return None


def settle(db: Database, key: str, job: int) -> None:
    with db.writing():
        db.execute("UPDATE answers SET job = ? WHERE key = ?", (job, key))


def give_up(db: Database, key: str) -> None:
    with db.writing():
        db.execute("DELETE FROM answers WHERE key = ? AND job IS NULL", (key,))
