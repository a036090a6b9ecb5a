"""One piece of work: how far it is, whether it is still wanted, and what is to be remembered of it.

It is made by who starts the work (a command, a request) and handed down through everything that takes time.
Below it several things may go on at once, each under a child: a child is cancelled alone, or with its parent.

    operation = Operation(show)
    with cancelled_by_interrupt(operation):
        fleet.start(["web-*"], operation=operation)

Nothing here takes a lock, because `cancel` is called from a signal handler, which runs in the middle of
whatever the main thread does: an Event that this very thread is just waiting for would wait for itself.
"""

import time
from collections.abc import Callable, Iterator

from skinnybox.errors import Cancelled
from skinnybox.values import dataclass

_NAP = 0.1
"""Seconds after which a sleeper looks whether it was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A moment of a long operation. `total` None: how long is not known."""

    task: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    detail: str = ""


Listener = Callable[[Step], None]
"""Hears of every step, from several threads."""

Log = Callable[[str], None]
"""Is given what a person should read though nothing failed, one line each, from several threads."""


def _unheard(_: object) -> None:
    """Who does not listen."""


class Operation:
    """Thread-safe. Cancelling is asked for here and happens below, at the next place that asks."""

    def __init__(
        self, listener: Listener = _unheard, log: Log = _unheard, *, parent: "Operation | None" = None
    ) -> None:
        self._listener = listener
        self._log = log
        self._parent = parent
        self._cancelled = self._interrupted = False

    @property
    def cancelled(self) -> bool:
        """Whether it, or what it is a part of, is to end: somebody asked for that, or it was interrupted."""
        own = self._cancelled or self._interrupted
        return own or (self._parent is not None and self._parent.cancelled)

    @property
    def interrupted(self) -> bool:
        """Whether it is to end and nobody asked for that. False once somebody has."""
        above = tuple(self.lineage())
        return any(each._interrupted for each in above) and not any(each._cancelled for each in above)

    @property
    def ending(self) -> str:
        """In a word what it is, once it is to end."""
        return "interrupted" if self.interrupted else "cancelled"

    def cancel(self) -> None:
        """Idempotent; returns at once. Its children are cancelled with it, its parent is not."""
        self._cancelled = True

    def interrupt(self) -> None:
        """The same where nobody asked for it: who does the work goes away, as a server that ends."""
        self._interrupted = True

    def check(self, doing: str = "") -> None:
        """Cancelled when it is to end: for places where the work can, and nothing is lost."""
        if self.cancelled:
            raise Cancelled(f"{doing}: {self.ending}" if doing else self.ending)

    def step(
        self, task: str, *, done: int = 0, total: int | None = None, unit: str = "", detail: str = ""
    ) -> None:
        """Say how far it is, unless it is cancelled: then it ends here, with Cancelled."""
        self.check(task)
        self.report(Step(task=task, done=done, total=total, unit=unit, detail=detail))

    def report(self, step: Step) -> None:
        """Say how far it is, cancelled or not: for what must come to its end."""
        self._listener(step)

    def note(self, line: str) -> None:
        """What a person should read of it, though nothing failed."""
        self._log(line)

    def sleep(self, seconds: float) -> None:
        """Cancelled as soon as it is, else return after so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _NAP))

    def lineage(self) -> "Iterator[Operation]":
        """Itself, and what it is a part of, outwards."""
        each: Operation | None = self
        while each is not None:
            yield each
            each = each._parent

    def child(self, listener: Listener | None = None) -> "Operation":
        """A part of it, that can be cancelled alone. It is heard by the same listener, if by no other."""
        return Operation(listener or self._listener, self._log, parent=self)


class _Unattended(Operation):
    def cancel(self) -> None:
        """It is everybody's who said nothing: cancelling it would end the work of others."""
        raise TypeError("nobody can cancel what is unattended: hand an Operation of your own down")

    interrupt = cancel


UNATTENDED = _Unattended()
"""The operation of who neither looks on nor cancels."""
