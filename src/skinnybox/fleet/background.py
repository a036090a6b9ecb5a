"""Jobs that go on after whoever asked for them has been answered: those of a server.

Each is a thread, and a job like that of any command (jobs.py). What many of them do at once is bounded where
it costs: machines on their way up by Fleet.start, a machine by its lease.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from skinnybox.errors import Conflict, SkinnyboxError
from skinnybox.fleet import jobs
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.jobs import Actor
from skinnybox.operation import Operation

MOST = 64
"""Jobs of one server that go on at once; the next one is refused."""
SHARE = 16
"""The same of one token: who only waits, again and again, leaves the others room."""


class Background:
    """Of one process. Thread-safe."""

    def __init__(self, catalog: Catalog, most: int = MOST, share: int = SHARE) -> None:
        self._catalog, self._most, self._share = catalog, most, share
        self._lock = threading.Lock()
        self._operations: dict[Operation, threading.Thread] = {}
        self._tokens: dict[Operation, str | None] = {}
        self._ending = False

    def begin(
        self, actor: Actor, verb: str, subjects: Sequence[str], act: Callable[[Operation], object]
    ) -> int:
        """The number of the job, once it is written down. What goes wrong in it is told by the job. Conflict
        when too many go on, the server ends, or nothing can be written down: nobody could follow it."""
        begun: Future[int] = Future()
        operation = Operation()

        def run() -> None:
            try:
                with (
                    jobs.on_behalf_of(actor),
                    jobs.recorded(self._catalog, verb, tuple(subjects), operation) as record,
                ):
                    if record.number == 0:
                        raise Conflict(f"{verb}: no job can be written down", hint="`skinnybox doctor`")
                    begun.set_result(record.number)
                    record.results = jobs.results(act(record.operation))
            except Exception as error:  # told by the job; whoever asked waits for its number only
                if not begun.done():
                    begun.set_exception(error)
                elif not isinstance(error, SkinnyboxError | OSError):
                    raise  # a bug of ours: where threads tell of those
            finally:
                with self._lock:
                    del self._operations[operation], self._tokens[operation]

        self._catalog.make()
        thread = threading.Thread(target=run, name=f"job: {verb}")
        with self._lock:
            if self._ending:
                raise Conflict("the server is ending", hint="ask again when it is back")
            self._refuse_too_many(actor)
            self._operations[operation], self._tokens[operation] = thread, actor.token
        thread.start()
        return begun.result()

    def _refuse_too_many(self, actor: Actor) -> None:
        hint = "wait until one has ended"
        if len(self._operations) >= self._most:
            raise Conflict(f"{self._most} jobs go on already", hint=hint)
        theirs = sum(token == actor.token for token in self._tokens.values())
        if actor.token is not None and theirs >= self._share:
            raise Conflict(f"{theirs} jobs that {actor.name} asked for go on already", hint=hint)

    @property
    def running(self) -> int:
        with self._lock:
            return len(self._operations)

    @property
    def ending(self) -> bool:
        """Whether it takes no more."""
        with self._lock:
            return self._ending

    def end(self) -> None:
        """No new ones; those that go on are interrupted where nothing is lost: nobody asked that they end.
        Returns when they have."""
        with self._lock:
            self._ending = True
            going_on = dict(self._operations)
        for operation in going_on:
            operation.interrupt()
        for thread in going_on.values():
            thread.join()
