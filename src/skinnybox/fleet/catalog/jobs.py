"""Jobs in the catalog: what was asked for, by whom, how far it is and what became of it.

They tell; they decide nothing. What a machine is, and what is being done to it, say its row and its lease: a
job whose process died is told as interrupted, and the next command settles its machines as without it.
So what is written here is not waited for (no fsync), and where it cannot be written the work goes on.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from skinnybox.errors import NotFound
from skinnybox.fleet.catalog.database import Database, damaged
from skinnybox.fleet.catalog.owner import process_lives
from skinnybox.values import dataclass

KEPT = 10_000
LONGEST_LOG = 64 << 10
"""Characters; what comes behind them is dropped."""
_COLUMNS = "number, verb, subjects, actor, origin, owner, begun, ended, condition, step, log, error, results"


class Condition(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one machine; `error` None: it is done."""

    name: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work that somebody asked for. Times are ISO 8601 with their zone; `step` is what it told
    last, `log` what it noted."""

    number: int
    verb: str
    subjects: tuple[str, ...]
    actor: str
    origin: str
    owner: str
    begun: str
    ended: str | None = None
    condition: Condition = Condition.RUNNING
    step: dict[str, Any] | None = None
    log: str = ""
    error: str | None = None
    results: tuple[Result, ...] = ()


def begin(db: Database, job: Job) -> int:
    """Its number. The oldest go, so that no more than KEPT are there."""
    with db.noting():
        db.execute(
            "INSERT INTO jobs (verb, subjects, actor, origin, owner, begun, condition)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (job.verb, json.dumps(job.subjects), job.actor, job.origin, job.owner, job.begun, job.condition),
        )
        [(number,)] = db.all("SELECT last_insert_rowid()")
        db.execute("DELETE FROM jobs WHERE number <= ?", (number - KEPT,))
    return int(number)


def tell(db: Database, number: int, step: str | None, log: str) -> None:
    with db.noting():
        db.execute("UPDATE jobs SET step = ?, log = ? WHERE number = ?", (step, log[:LONGEST_LOG], number))


def end(db: Database, job: Job) -> None:
    results = json.dumps([[result.name, result.error] for result in job.results])
    with db.noting():
        db.execute(
            "UPDATE jobs SET ended = ?, condition = ?, log = ?, error = ?, results = ? WHERE number = ?",
            (job.ended, job.condition, job.log[:LONGEST_LOG], job.error, results, job.number),
        )


def unwanted(db: Database, number: int) -> bool:
    """Whether somebody asked that it ends."""
    return bool(db.all("SELECT 1 FROM jobs WHERE number = ? AND unwanted", (number,)))


def ask_to_end(db: Database, number: int) -> None:
    with db.noting():
        db.execute("UPDATE jobs SET unwanted = 1 WHERE number = ?", (number,))


def all_of(db: Database, most: int, *, logs: bool = True) -> list[Job]:
    """The latest, oldest first; without `logs` those are empty: of all that are kept they may be large."""
    columns = _COLUMNS if logs else _COLUMNS.replace(" log,", " '',")
    found = db.all(f"SELECT {columns} FROM jobs ORDER BY number DESC LIMIT ?", (most,))
    return [parsed(*values) for values in reversed(found)]


def later(db: Database, after: int, numbers: Sequence[int]) -> list[Job]:
    """Those with a number above this, and these; oldest first."""
    marks = ", ".join("?" * len(numbers))
    found = db.all(
        f"SELECT {_COLUMNS} FROM jobs WHERE number > ? OR number IN ({marks}) ORDER BY number",
        (after, *numbers),
    )
    return [parsed(*values) for values in found]


def newest(db: Database) -> int:
    """The number of the last one, 0 without any."""
    [(number,)] = db.all("SELECT max(number) FROM jobs")
    return int(number or 0)


def one(db: Database, number: int) -> Job:
    found = db.all(f"SELECT {_COLUMNS} FROM jobs WHERE number = ?", (number,))
    if not found:
        raise NotFound(f"there is no job {number}", hint="`skinnybox jobs list` shows those that are kept")
    return parsed(*found[0])


def parsed(
    number: int, verb: str, subjects: str, actor: str, origin: str, owner: str, begun: str, ended: str | None,
    condition: str, step: str | None, log: str, error: str | None, results: str,
) -> Job:  # fmt: skip
    try:
        return Job(
            number=number, verb=verb, subjects=tuple(map(str, json.loads(subjects))), actor=actor,
            origin=origin, owner=owner, begun=begun, ended=ended, condition=_condition(condition, owner),
            step=None if step is None else dict(json.loads(step)), log=log, error=error,
            results=tuple(Result(name=str(name), error=error) for name, error in json.loads(results)),
        )  # fmt: skip
    except (ValueError, TypeError) as error_:
        raise damaged(f"job {number} cannot be read: {error_}") from error_


def _condition(written: str, owner: str) -> Condition:
    condition = Condition(written)
    return Condition.INTERRUPTED if condition is Condition.RUNNING and not process_lives(owner) else condition
