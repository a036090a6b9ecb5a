"""What a job writes, as the answer to who asked for it: as it comes, and never more of it in memory than a
piece. Whoever goes away ends the job, which leaves nothing.

What fails before the first byte is told as every error is. Later nothing can be told any more: the connection
ends before the answer does, which clients notice, and the job says why.
"""

import os
import select
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from skinnybox.errors import Cancelled
from skinnybox.fleet.background import Background
from skinnybox.fleet.jobs import Actor
from skinnybox.operation import Operation

_PIECE = 1 << 18
_WAIT = 500
"""Milliseconds until it is asked again whether anybody is there."""
Write = Callable[[int, Operation], object]
"""Writes all of it to a descriptor, which stays open; its value is the job's."""


class _Source:
    """The reading end of the pipe that the job writes to."""

    def __init__(self) -> None:
        self.end, self._write = os.pipe()
        self._lock = threading.Lock()
        self._operation: Operation | None = None
        self._left = False
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self.number = 0

    def work(self, write: Write, operation: Operation) -> object:
        """The job."""
        with self._lock:
            self._operation = operation
            if self._left:
                operation.cancel()
        try:
            return write(self._write, operation)
        except BaseException as error:
            self.error = error
            raise
        finally:
            os.close(self._write)
            self.ended.set()

    def piece(self) -> bytes | None:
        """What is there, at the latest after _WAIT: perhaps nothing. None at its end."""
        waiting = select.poll()
        waiting.register(self.end, select.POLLIN)
        if not waiting.poll(_WAIT):
            return b""
        found = os.read(self.end, _PIECE)
        if found:
            return found
        self.ended.wait()
        return None

    def leave(self, *, begun: bool = True) -> None:
        """Nobody reads it any more. A job that was not `begun` closes no end of it."""
        with self._lock:
            self._left = True
            if self._operation is not None and not self.ended.is_set():
                self._operation.cancel()
        os.close(self.end)
        if not begun:
            os.close(self._write)


async def download(
    request: Request, background: Background, actor: Actor, verb: str, name: str, write: Write, *,
    file: str | None, media: str, meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Response:  # fmt: skip
    """The answer, once its first bytes are there: a file to be kept, or what is to be read. `meanwhile` hands
    the job what it waits for. Raises what the job does until then."""
    source = _Source()

    def begin() -> int:
        return background.begin(actor, verb, [name], lambda operation: source.work(write, operation))

    try:
        source.number = await run_in_threadpool(begin)
    except BaseException:
        source.leave(begun=False)
        raise
    try:
        if meanwhile is not None:
            await meanwhile()
        first = await _first(request, source)
    except BaseException:
        source.leave()
        raise
    return _Download(request, source, first, file, media)


async def _first(request: Request, source: _Source) -> bytes:
    while not (piece := await run_in_threadpool(source.piece)):
        if piece is None and source.error is not None:
            raise source.error
        if piece is None:
            return b""
        if await request.is_disconnected():
            raise Cancelled("nobody waits for it any more")
    return piece


class _Download(Response):
    def __init__(self, request: Request, source: _Source, first: bytes, file: str | None, media: str) -> None:
        super().__init__(media_type=media)
        del self.headers["content-length"]
        if file is not None:
            self.headers["content-disposition"] = f'attachment; filename="{file}"'
        self.headers["location"] = f"/api/v1/jobs/{source.number}"
        self._request, self._source, self._next = request, source, first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            piece: bytes | None = self._next
            while piece is not None and not await self._request.is_disconnected():
                if piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await run_in_threadpool(self._source.piece)
            if piece is None and self._source.error is None:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            with suppress(OSError):
                self._source.leave()
