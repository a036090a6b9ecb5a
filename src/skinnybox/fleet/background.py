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


class Background:
    """Of one process. Thread-safe."""

    def __init__(self, catalog: Catalog, most: int = MOST) -> None:
        self._catalog, self._most = catalog, most
        self._lock = threading.Lock()
        self._operations: dict[Operation, threading.Thread] = {}
        self._ending = False

    def begin(
        self, actor: Actor, verb: str, subjects: Sequence[str], act: Callable[[Operation], object]
    ) -> int:
        """The number of the job, once it is written down: also the very first one, which makes the catalog.
        What goes wrong in it is told by the job. Conflict when too many go on, or the server ends."""
        self._catalog.make()
        begun: Future[int] = Future()
        operation = Operation()

        def run() -> None:
            try:
                with (
                    jobs.on_behalf_of(actor),
                    jobs.recorded(self._catalog, verb, tuple(subjects), operation) as record,
                ):
                    begun.set_result(record.number)
                    record.results = jobs.results(act(record.operation))
            except BaseException as error:  # told by the job; whoever asked waits for its number only
                if not begun.done():
                    begun.set_exception(error)
                elif not isinstance(error, SkinnyboxError):
                    threading.excepthook(threading.ExceptHookArgs((type(error), error, None, None)))
            finally:
                with self._lock:
                    del self._operations[operation]

        thread = threading.Thread(target=run, name=f"job: {verb}")
        with self._lock:
            if self._ending:
                raise Conflict("the server is ending", hint="ask again when it is back")
            if len(self._operations) >= self._most:
                raise Conflict(f"{self._most} jobs go on already", hint="wait until one has ended")
            self._operations[operation] = thread
        thread.start()
        return begun.result()

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
        """No new ones; those that go on end where nothing is lost. Returns when they have."""
        with self._lock:
            self._ending = True
            going_on = dict(self._operations)
        for operation in going_on:
            operation.cancel()
        for thread in going_on.values():
            thread.join()
