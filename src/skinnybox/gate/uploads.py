"""Files that are sent, for a job that takes them as they come: never more of them in memory than a few
pieces. Whoever goes away ends the job, which leaves nothing.

What the job says against them while they come is told at once, as every error is; of a browser the rest is
read and thrown away, for it looks at no answer before it has sent all.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from skinnybox.errors import Cancelled
from skinnybox.fleet.background import Background
from skinnybox.fleet.jobs import Actor
from skinnybox.fleet.received import Sent
from skinnybox.gate.forms import Form
from skinnybox.operation import Operation

_PIECES = 16
"""Of some 64 KiB each: what a fast one sends while the other side pauses."""
_WAIT, _PAUSE = 0.5, 0.01
"""Seconds until the job, and the request, ask again whether the other is still there."""


class Inbox:
    """Between a request, which is async, and its job, a thread."""

    def __init__(self) -> None:
        self._items: queue.Queue[str | bytes | None] = queue.Queue(_PIECES)
        self._lock = threading.Lock()
        self._operation: Operation | None = None
        self._left = self._accepted = False
        self._settled = threading.Event()
        self._error: BaseException | None = None

    # the job's side

    def work(self, act: Callable[[Operation], object], operation: Operation) -> object:
        """The job."""
        with self._lock:
            self._operation = operation
            if self._left:
                operation.cancel()
        try:
            return act(operation)
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._settled.set()

    def accept(self) -> None:
        """The job needs nobody any more, and tells itself what goes wrong from now on."""
        self._accepted = True
        self._settled.set()

    def archives(self, operation: Operation) -> Iterator[Sent]:
        """Each is read to its end before the next is asked for."""
        while (called := self._next(operation)) is not None:
            yield Sent(called=str(called), pieces=self._pieces(operation))

    def _pieces(self, operation: Operation) -> Iterator[bytes]:
        while isinstance(piece := self._next(operation), bytes):
            yield piece

    def _next(self, operation: Operation) -> str | bytes | None:
        while True:
            operation.check("receive")
            with suppress(queue.Empty):
                return self._items.get(timeout=_WAIT)

    # the request's side

    async def fill(self, form: Form, name: str, most: int) -> None:
        """With all files of this name. Raises what the job raises meanwhile, and as Form.files."""
        async with aclosing(form.files(name, most)) as items:
            async for item in items:
                await self._put(item)
        await self._put(None)

    async def settled(self, request: Request) -> None:
        """Returns once the job has accepted what was sent. Raises what it raises before that; Cancelled when
        nobody waits for it any more."""
        while not self._settled.is_set():
            if await request.is_disconnected():
                raise Cancelled("nobody waits for it any more")
            await asyncio.sleep(_PAUSE)
        if not self._accepted:
            self._refuse()

    def leave(self) -> None:
        """Nothing more comes."""
        with self._lock:
            self._left = True
            if self._operation is not None:
                self._operation.cancel()

    async def _put(self, item: str | bytes | None) -> None:
        """Without a thread that waits: those are for all who ask for something."""
        while True:
            self._refuse()
            with suppress(queue.Full):
                self._items.put_nowait(item)
                return
            await asyncio.sleep(_PAUSE)

    def _refuse(self) -> None:
        if self._error is not None:
            raise self._error


async def taken(
    request: Request, background: Background, actor: Actor, verb: str, name: str, form: Form,
    act: Callable[[Operation, Iterator[Sent], Callable[[], None]], object], *, file: str, most: int,
) -> int:  # fmt: skip
    """The number of a job that is handed the files of this form, and what it calls when it has accepted them:
    then nobody is needed any more. UsageError for a form without any. Raises what the job does until then."""
    form.refuse_others(file)
    inbox = Inbox()

    def work(operation: Operation) -> object:
        return inbox.work(lambda op: act(op, inbox.archives(op), inbox.accept), operation)

    number = await run_in_threadpool(background.begin, actor, verb, [name], work)
    try:
        await inbox.fill(form, file, most)
        await inbox.settled(request)
    except BaseException:
        inbox.leave()
        raise
    return number
