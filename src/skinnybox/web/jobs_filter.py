"""Which jobs somebody wants to see: by how they ended, what was done, and a word in what is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.datastructures import QueryParams

from skinnybox.fleet.jobs import Condition, Job

PAGE = 50


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


def page_of(jobs: Sequence[Job], wanted: Filter, most: int = PAGE, *, origins: bool = False) -> Page:
    """`jobs` come newest first, and leave so. Only with `origins` the word may be one of those: from where
    somebody asks is nothing that others find out by guessing."""
    found = [
        job
        for job in jobs
        if _fits(job, wanted, origins) and (not wanted.before or job.number < wanted.before)
    ]
    shown, verbs = tuple(found[:most]), tuple(sorted({job.verb for job in jobs}))
    return Page(jobs=shown, verbs=verbs, next=shown[-1].number if len(found) > most else None)


def _fits(job: Job, wanted: Filter, origins: bool) -> bool:
    if wanted.state and job.condition != wanted.state:
        return False
    if wanted.verb and job.verb != wanted.verb:
        return False
    told = " ".join((job.actor, *job.subjects, job.error or "", job.origin if origins else ""))
    return wanted.word.casefold() in told.casefold()


def took(job: Job) -> float:
    """Seconds; until now, of one that runs."""
    end = datetime.fromisoformat(job.ended) if job.ended else datetime.now(UTC)
    return (end - datetime.fromisoformat(job.begun)).total_seconds()


def done(job: Job) -> tuple[int, int]:
    """How far it is, of how much; of nothing while that is not known."""
    step = job.step or {}
    return int(step.get("done") or 0), int(step.get("total") or 0)
