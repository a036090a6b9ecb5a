"""Which jobs somebody wants to see: by how they ended, what was done, and a word in what is told of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from starlette.datastructures import QueryParams

from skinnybox.fleet.jobs import Condition, Job, Wanted
from skinnybox.fleet.service import Fleet
from skinnybox.gate import reach
from skinnybox.gate.principal import Principal

PAGE = 50
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Empty: any. `before` is the number of the last job of the page before this one, 0 on the first."""

    state: str = ""
    verb: str = ""
    word: str = ""
    before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`next` is the `before` of the page behind this one, None where this is the last. `verbs` are those of
    all jobs, whatever is filtered."""

    jobs: tuple[Job, ...]
    next: int | None
    verbs: tuple[str, ...]
    states: tuple[str, ...] = tuple(map(str, Condition))


def asked(query: QueryParams) -> Filter:
    before = query.get("before", "")
    return Filter(
        state=query.get("state", ""),
        verb=query.get("verb", ""),
        word=query.get("word", "").strip(),
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 12 else 0,
    )


def page_of(fleet: Fleet, who: Principal, wanted: Filter, most: int = PAGE, *, origins: bool = False) -> Page:
    """Of the jobs that they may know of, the newest first. Only with `origins` the word may be one of those:
    from where somebody asks is nothing that others find out by guessing."""
    found = list(islice(_found(fleet, who, wanted, most, origins), most + 1))
    verbs = tuple(fleet.jobs.verbs(reach.knowable(fleet, who, Wanted())))
    shown = tuple(found[:most])
    return Page(jobs=shown, verbs=verbs, next=shown[-1].number if len(found) > most else None)


def _found(fleet: Fleet, who: Principal, wanted: Filter, most: int, origins: bool) -> Iterator[Job]:
    """Read a few at a time, as many as it takes: the database knows of no word."""
    if wanted.state not in ("", *Condition):
        return
    states = (Condition(wanted.state),) if wanted.state else ()
    before, size = wanted.before, _AT_ONCE if wanted.word else most + 1
    while True:
        some = reach.jobs(fleet, who, Wanted(states=states, verb=wanted.verb or None, before=before), size)
        yield from (job for job in some if _has(job, wanted.word, origins))
        if len(some) < size:
            return
        before = some[-1].number


def _has(job: Job, word: str, origins: bool) -> bool:
    told = " ".join((job.actor, *job.subjects, job.error or "", job.origin if origins else ""))
    return word.casefold() in told.casefold()


def took(job: Job) -> float:
    """Seconds; until now, of one that runs."""
    end = datetime.fromisoformat(job.ended) if job.ended else datetime.now(UTC)
    return (end - datetime.fromisoformat(job.begun)).total_seconds()


def done(job: Job) -> tuple[int, int]:
    """How far it is, of how much; of nothing while that is not known."""
    step = job.step or {}
    return int(step.get("done") or 0), int(step.get("total") or 0)
