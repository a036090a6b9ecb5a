"""What happens, told to all who follow: one thread looks for it, however many there are.

Each has a place of their own among the events, which are kept in the state folder: so nobody is told less for
being slow, and what waits for them here is bounded. Nobody looks while nobody follows.
"""

import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from starlette.requests import HTTPConnection

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet import present, present_jobs
from skinnybox.fleet.jobs import Condition, Job
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate import places, reach
from skinnybox.gate.follower import Follower
from skinnybox.gate.problems import Refused

POLL = 0.5
MOST = 256
"""Who follow at the same time."""
OF_ONE = 32
"""Of one token: a browser has one for each of its tabs."""
LAST = 20
"""Jobs that are told to who comes, beside those that go on."""
_SUBJECTS = 10
_KNOWN = 20_000

log = logging.getLogger("skinnybox.server")


class TooManyFollow(Refused):
    http_status = 503


class Hub:
    """Of one server. Its thread is there from the first who follows until the end."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._changed = threading.Condition()
        self._followers: list[Follower] = []
        self._thread: threading.Thread | None = None
        self._ended = False
        self._jobs = _Jobs(fleet)
        self._belongs: dict[UUID, str | None] = {}

    @contextmanager
    def following(self, follower: Follower) -> Iterator[Follower]:
        """They are told during the block. TooManyFollow."""
        with self._changed:
            mine = [each for each in self._followers if each.who.token == follower.who.token]
            if self._ended or len(self._followers) >= MOST or len(mine) >= OF_ONE:
                what = "the server is ending" if self._ended else "too many follow already"
                raise TooManyFollow(what, headers={"retry-after": "10"})
            self._followers.append(follower)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        try:
            yield follower
        finally:
            with self._changed:
                self._followers.remove(follower)

    def close(self) -> None:
        """Whoever follows is told no more: their streams end. Idempotent; returns at once."""
        with self._changed:
            self._ended = True
            followers = [*self._followers]
            self._changed.notify_all()
        for follower in followers:
            follower.end()

    def join(self) -> None:
        """After close: until nobody looks any more."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        failed = ""
        while followers := self._awaited():
            try:
                behind, failed = self._look(followers), ""
            except SkinnyboxError as error:
                behind = False
                if error.message != failed:  # once for as long as it lasts
                    failed = error.message
                    log.error("what happens cannot be told: %s", failed)
            with self._changed:
                if not behind and not self._ended and len(self._followers) == len(followers):
                    self._changed.wait(POLL)

    def _awaited(self) -> list[Follower]:
        """Who follows now; waits for the first one. Nobody when it has ended."""
        with self._changed:
            while not self._followers and not self._ended:
                self._changed.wait()
            return [] if self._ended else [*self._followers]

    def _look(self, followers: Sequence[Follower]) -> bool:
        """Whether there is more than somebody had room for."""
        self._place(followers)
        events = self._fleet.events_after(min(follower.after or 0 for follower in followers))
        if events and any(follower.who.fleet for follower in followers):
            self._belongs = {**dict([*self._belongs.items()][-_KNOWN:]), **self._fleet.belongings()}
        told = {
            event.number: _message(str(event.kind), present.event(event), event.number) for event in events
        }
        changed = self._jobs.changed()
        behind = False
        for follower in followers:
            mine = [event for event in events if event.number > (follower.after or 0)]
            taken = mine[: follower.room]
            behind |= len(taken) < len(mine)
            follower.after = taken[-1].number if taken else follower.after
            seen = [told[event.number] for event in taken if follower.sees(event.uuid, self._belongs.get)]
            follower.hand(seen, self._jobs_for(follower, changed))
        return behind and any(follower.room for follower in followers)

    def _place(self, followers: Sequence[Follower]) -> None:
        """Who did not say where they were begins now, and is told where that is. Who was further on than
        what there is was so before the events were lost: they are told all there are."""
        if all(follower.jobs_known for follower in followers):
            return
        newest = max((event.number for event in self._fleet.events_after(0)), default=0)
        for follower in followers:
            if not follower.jobs_known and (follower.after is None or follower.after > newest):
                follower.after = newest if follower.after is None else 0
                follower.hand([b"id: %d\n\n" % follower.after], {})

    def _jobs_for(self, follower: Follower, changed: Iterable[Job]) -> dict[int, bytes]:
        jobs = changed
        if not follower.jobs_known:
            follower.jobs_known = True
            jobs = self._jobs.latest()
        sees = reach.sight(self._fleet, follower.who) if jobs else None
        admin = follower.who.role is Role.ADMIN
        return {
            job.number: _message("job", _row(places.job(follower.who, job), admin))
            for job in jobs
            if sees and sees(job)
        }


class _Jobs:
    """Those of one catalog, as they were when it was looked last."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._last: int | None = None
        self._running: dict[int, Job] = {}

    def latest(self) -> list[Job]:
        """Those that go on, and the last ones."""
        last = {job.number: job for job in self._fleet.jobs.all(LAST)}
        return [*{**self._running, **last}.values()]

    def changed(self) -> list[Job]:
        """Since it was asked last; nothing the first time."""
        first = self._last is None
        if self._last is None:
            self._last = self._fleet.jobs.newest()
            self._running = {job.number: job for job in self._fleet.jobs.all(running=True)}
        found = self._fleet.jobs.later(self._last, [*self._running])
        changed = [job for job in found if self._running.get(job.number) != job]
        self._last = max((self._last, *(job.number for job in found)))
        self._running = {job.number: job for job in found if job.condition is Condition.RUNNING}
        return [] if first else changed


def _row(job: Job, admin: bool) -> present.Record:
    """A row of the list of jobs, and how far it is. Of many machines some are named."""
    found = present_jobs.job(job)
    del found["log"], found["results"]
    failed = sum(result.error is not None for result in job.results)
    found |= {"subjects": found["subjects"][:_SUBJECTS], "machines": len(job.subjects)}
    found |= {"done": len(job.results) - failed, "failed": failed}
    return found if admin else {**found, "origin": None}


def _message(kind: str, record: present.Record, number: int | None = None) -> bytes:
    """JSON in ASCII has no line break."""
    name = b"id: %d\n" % number if number is not None else b""
    return name + f"event: {kind}\ndata: {json.dumps(record)}\n\n".encode()


def hub_of(connection: HTTPConnection) -> Hub:
    found: Hub = connection.app.state.hub
    return found
