"""Jobs: every change that somebody asks for, with who asked, how far it is and what came of it.

They are begun by as_job.py. The operation of one is a part of its caller's, heard by the same listener, and
ended as well by whoever asks that the job ends, from another process too. That one is cancelled then; where
nobody asked for it, because its process was killed or its server ended, it is interrupted.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path, PurePath

from skinnybox.errors import Cancelled, CommandFailed, Conflict, SkinnyboxError, from_system
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog import job_pages, jobs
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.job_pages import Wanted as Wanted
from skinnybox.fleet.catalog.jobs import Condition as Condition
from skinnybox.fleet.catalog.jobs import Job as Job
from skinnybox.fleet.catalog.jobs import Result as Result
from skinnybox.fleet.catalog.owner import process_mark
from skinnybox.model import Instance
from skinnybox.operation import UNATTENDED, Operation, Step
from skinnybox.values import dataclass, replace

_POLL = 1.0
"""Seconds between two looks whether somebody wants it to end, and between two words of how far it is."""
_FOLLOWED = 0.5
_ENDED = "its server ended"
"""Nothing else interrupts an operation and lives to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks, and from where: a user of this system, or whoever signed in, and from which address. `token`
    is the id of what they showed; None for who needs none."""

    name: str
    origin: str
    token: str | None = None


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


@contextlib.contextmanager
def on_behalf_of(actor: Actor) -> Iterator[None]:
    """What this thread asks for during the block, this one asks for."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def asking() -> Actor:
    """Who asks for what this thread does."""
    return _actor.get() or who_runs_this()


def who_runs_this() -> Actor:
    """The user of this process; behind sudo the one who called that as well."""
    import pwd

    user = _of_the_system(os.getuid())
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    behind = os.environ.get("SUDO_USER") if user == 0 else None
    return Actor(name=f"{behind} as {name}" if behind else name, origin=f"process {os.getpid()}")


def _of_the_system(user: int) -> int:
    """Masters are made as root of a namespace, behind which an ordinary user stands (user_namespaces(7))."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, outside, count = map(int, line.split())
        if inside <= user < inside + count:
            return outside + user - inside
    return user


@contextlib.contextmanager
def recorded(catalog: Catalog, verb: str, subjects: tuple[str, ...], asked: Operation) -> "Iterator[Record]":
    """A job for as long as the block goes on, which hands on its `operation`, and may say its `results`."""
    actor = asking()
    job = Job(
        number=0, verb=verb, subjects=subjects, actor=actor.name, origin=actor.origin, owner=process_mark(),
        begun=_now(),
    )  # fmt: skip
    record = Record(catalog, job, asked)
    try:
        yield record
    except BaseException as error:
        record.end(error)
        raise
    record.end(None)


def subjects(given: Sequence[object]) -> tuple[str, ...]:
    """What stands first: names and patterns of machines, a master's reference, or a file."""
    first = given[0] if given else ()
    if isinstance(first, str | PurePath):
        return (str(first),)
    return tuple(map(str, first)) if isinstance(first, list | tuple) else ()


def results(value: object) -> tuple[Result, ...]:
    """Of a batch what became of each, of machines that were made their names, of all else nothing."""
    found = value if isinstance(value, list) else []
    outcomes = (each for each in found if isinstance(each, Outcome))
    done = (Result(name=each.name) for each in found if isinstance(each, Instance))
    told = (Result(name=each.name, error=each.error.message if each.error else None) for each in outcomes)
    return (*told, *done)


class Record:
    """A job that goes on. `number` is 0 where there is no catalog yet, or none that can be written."""

    def __init__(self, catalog: Catalog, job: Job, asked: Operation) -> None:
        self._database, self._job = catalog.database, job
        self.operation = JobOperation(asked, self)
        self.results: tuple[Result, ...] = ()
        self._step: str | None = None
        self._log = ""
        self._untold = False
        self._told = self._looked = time.monotonic()
        self.number = self._begin()

    def _begin(self) -> int:
        with contextlib.suppress(SkinnyboxError):
            return jobs.begin(self._database, self._job)
        return 0

    def hear(self, step: Step | None = None, line: str = "") -> None:
        """From several threads: which of their words is written last does not matter."""
        if step is not None:
            self._step = json.dumps({key: getattr(step, key) for key in _STEP})
        if line and len(self._log) < jobs.LONGEST_LOG:
            self._log += f"{line}\n"
        self._untold = True
        self._tell()

    def _tell(self) -> None:
        """What was not told yet, once in a second."""
        now = time.monotonic()
        if self.number and self._untold and now - self._told >= _POLL:
            self._told, self._untold = now, False
            with contextlib.suppress(SkinnyboxError):
                jobs.tell(self._database, self.number, self._step, self._log)

    def is_unwanted(self) -> bool:
        """Asked again and again, also by work that is silent for long: what it said last is told then."""
        self._tell()
        now = time.monotonic()
        if self.number and now - self._looked >= _POLL:
            self._looked = now
            with contextlib.suppress(SkinnyboxError):
                return jobs.unwanted(self._database, self.number)
        return False

    def end(self, error: BaseException | None) -> None:
        """What could not begin in a catalog that was not there yet is written now."""
        condition = self._came_to(error)
        said = None if error is None else _said(error)
        if condition is Condition.INTERRUPTED:
            said = _ENDED if said in (None, self.operation.ending) else f"{_ENDED}: {said}"
        if number := self.number or self._begin():
            ended = replace(
                self._job, number=number, ended=_now(), condition=condition, log=self._log, error=said,
                results=self.results,
            )  # fmt: skip
            with contextlib.suppress(SkinnyboxError):
                jobs.end(self._database, ended)

    def _came_to(self, error: BaseException | None) -> Condition:
        """Cancelled only where somebody asked for that, also when it came too late to be heard."""
        if error is None and all(result.error is None for result in self.results):
            return Condition.DONE
        if not self._was_broken_off(error):
            return Condition.FAILED
        if self.operation.interrupted and not self._asked_to_end():
            return Condition.INTERRUPTED
        return Condition.CANCELLED

    def _was_broken_off(self, error: BaseException | None) -> bool:
        """Of a batch the results have no error of their own; and a program that failed may have been ended
        by the same Ctrl-C."""
        if isinstance(error, Cancelled | KeyboardInterrupt):
            return True
        return (error is None or isinstance(error, CommandFailed)) and self.operation.cancelled

    def _asked_to_end(self) -> bool:
        with contextlib.suppress(SkinnyboxError):
            return jobs.unwanted(self._database, self.number)
        return False


def _said(error: BaseException) -> str:
    known = from_system(error) if isinstance(error, OSError) else error
    return known.message if isinstance(known, SkinnyboxError) else repr(error)


_STEP = ("task", "done", "total", "unit", "detail")


class JobOperation(Operation):
    """A part of the caller's, which others can end as well."""

    def __init__(self, asked: Operation, record: Record) -> None:
        def listener(step: Step) -> None:
            asked.report(step)
            record.hear(step)

        def log(line: str) -> None:
            asked.note(line)
            record.hear(line=line)

        super().__init__(listener, log, parent=asked)
        self._record = record

    @property
    def cancelled(self) -> bool:
        if not super().cancelled and self._record.is_unwanted():
            self.cancel()
        return super().cancelled


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Jobs:
    """Those of one catalog, looked at and ended; `fleet.jobs` of a Fleet."""

    def __init__(self, catalog: Catalog) -> None:
        self._database = catalog.database

    def all(self, most: int = jobs.KEPT, *, running: bool = False, logs: bool = True) -> list[Job]:
        """The latest, or those of them that are running, oldest first; with their logs or without."""
        found = jobs.all_of(self._database, jobs.KEPT if running else most, logs=logs)
        return [job for job in found if not running or job.condition is Condition.RUNNING][-most:]

    def some(self, wanted: Wanted, most: int, offset: int = 0) -> list[Job]:
        """Those that are wanted, the latest first, without their logs."""
        return job_pages.some(self._database, wanted, most, offset)

    def count(self, wanted: Wanted) -> int:
        return job_pages.count(self._database, wanted)

    def verbs(self, wanted: Wanted) -> list[str]:
        """What was asked for in those that are wanted."""
        return job_pages.verbs(self._database, wanted)

    def newest(self) -> int:
        """The number of the last one, 0 without any."""
        return jobs.newest(self._database)

    def later(self, after: int, numbers: Sequence[int] = ()) -> list[Job]:
        """Those with a number above this, and of these what is kept: for who follows many; oldest first."""
        return jobs.later(self._database, after, numbers)

    def one(self, number: int) -> Job:
        """NotFound when it is none of those that are kept."""
        return jobs.one(self._database, number)

    def cancel(self, number: int) -> Job:
        """Ask that it ends where nothing is lost, as Ctrl-C does. It looks once in a second; how it ended,
        following it tells. Conflict when it has ended."""
        job = self.one(number)
        if job.condition is not Condition.RUNNING:
            raise Conflict(f"job {number} goes on no more: it is {job.condition}")
        jobs.ask_to_end(self._database, number)
        return job

    def followed(self, number: int, operation: Operation = UNATTENDED) -> Iterator[Job]:
        """How it is, each time that something of it changed, until it has ended."""
        last = None
        while True:
            job = self.one(number)
            if job != last:
                yield job
            if job.condition is not Condition.RUNNING:
                return
            last = job
            operation.sleep(_FOLLOWED)
