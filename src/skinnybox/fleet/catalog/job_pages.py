"""Some of the jobs that are kept, chosen by the database: of ten thousand a page shows a hundred."""

import json
from collections.abc import Iterable
from typing import Any

from skinnybox.fleet.catalog.database import Database
from skinnybox.fleet.catalog.jobs import Condition, Job, parsed
from skinnybox.fleet.catalog.owner import process_lives
from skinnybox.values import dataclass

_COLUMNS = "number, verb, subjects, actor, origin, owner, begun, ended, condition, step, '', error, results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Empty: any. `hidden` are what verbs begin with that are not told. `only`, names of machines: those jobs
    that are of nothing else, and those that `token` asked for. `before` is the number of the last one that
    was told."""

    states: tuple[Condition, ...] = ()
    verb: str | None = None
    actor: str | None = None
    machine: str | None = None
    hidden: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    token: str | None = None
    before: int = 0


def some(db: Database, wanted: Wanted, most: int, offset: int = 0) -> list[Job]:
    """The latest first, without their logs."""
    where, values = _where(db, wanted)
    found = db.all(
        f"SELECT {_COLUMNS} FROM jobs WHERE {where} ORDER BY number DESC LIMIT ? OFFSET ?",
        (*values, most, offset),
    )
    return [parsed(*row) for row in found]


def count(db: Database, wanted: Wanted) -> int:
    where, values = _where(db, wanted)
    [(number,)] = db.all(f"SELECT count(*) FROM jobs WHERE {where}", values)
    return int(number)


def verbs(db: Database, wanted: Wanted) -> list[str]:
    where, values = _where(db, wanted)
    return [
        str(verb) for (verb,) in db.all(f"SELECT DISTINCT verb FROM jobs WHERE {where} ORDER BY verb", values)
    ]


def _where(db: Database, wanted: Wanted) -> tuple[str, tuple[Any, ...]]:
    parts: list[tuple[str, tuple[Any, ...]]] = [("1", ())]
    if wanted.states:
        parts.append(_in_states(db, wanted.states))
    for column, value in (("verb", wanted.verb), ("actor", wanted.actor)):
        if value is not None:
            parts.append((f"{column} = ?", (value,)))
    if wanted.machine is not None:
        parts.append(("EXISTS (SELECT 1 FROM json_each(subjects) WHERE value = ?)", (wanted.machine,)))
    if wanted.before:
        parts.append(("number < ?", (wanted.before,)))
    parts.append(_reached(wanted))
    return " AND ".join(f"({text})" for text, _ in parts), tuple(v for _, values in parts for v in values)


def _reached(wanted: Wanted) -> tuple[str, tuple[Any, ...]]:
    """As gate/reach.py says of one job."""
    told = " AND ".join(["1", *("substr(verb, 1, ?) != ?" for _ in wanted.hidden)])
    values: tuple[Any, ...] = tuple(each for word in wanted.hidden for each in (len(word), word))
    if wanted.only is None:
        return told, values
    ending = f", token {wanted.token}"
    theirs = (
        "subjects != '[]' AND NOT EXISTS (SELECT 1 FROM json_each(jobs.subjects) AS one"
        " WHERE one.value NOT IN (SELECT value FROM json_each(?)))"
    )
    own = f"substr(origin, -{len(ending)}) = ?"
    return f"{own} OR ({theirs} AND {told})", (ending, json.dumps(wanted.only), *values)


def _in_states(db: Database, states: Iterable[Condition]) -> tuple[str, tuple[Any, ...]]:
    """What is written as running, and whose process is gone, is interrupted."""
    wanted = set(states)
    owners = [
        str(owner) for (owner,) in db.all("SELECT DISTINCT owner FROM jobs WHERE condition = 'running'")
    ]
    lives = json.dumps([owner for owner in owners if process_lives(owner)])
    among = "(SELECT value FROM json_each(?))"
    found: list[tuple[str, tuple[Any, ...]]] = []
    plain = sorted(map(str, wanted - {Condition.RUNNING, Condition.INTERRUPTED}))
    if plain:
        found.append((f"condition IN {among}", (json.dumps(plain),)))
    if Condition.RUNNING in wanted:
        found.append((f"condition = 'running' AND owner IN {among}", (lives,)))
    if Condition.INTERRUPTED in wanted:
        found.append(
            (f"condition = 'interrupted' OR condition = 'running' AND owner NOT IN {among}", (lives,))
        )
    return " OR ".join(f"({text})" for text, _ in found), tuple(v for _, values in found for v in values)
