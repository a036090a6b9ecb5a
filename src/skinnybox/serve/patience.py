"""HTTP for clients that may be slow on purpose: what each may keep of us, and for how long.

uvicorn bounds how long an idle connection is kept, and nothing else: a client that sends one byte of its head
in each second, reads nothing of its answer, or opens a thousand connections, has a place of others for good.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10.0
"""Seconds from its first byte, or from the connection, until a request's head is there."""
LOOK, LEAST = 10.0, 4096
"""Of a body so many bytes come in so many seconds; unless it is us who do not read."""
STALLED = 30.0
"""Seconds in which a client takes nothing of what waits for it."""
OF_ONE = 128
"""Connections of one address. Proxies have more, and so has who comes by the socket, who has none."""
MOST = 512
"""Connections of one server, of which each browser has a few."""

_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class _Part(Enum):
    HEAD, BODY, ANSWER = "head", "body", "answer"


class PatientProtocol(H11Protocol):
    """One connection. `exempt` says which addresses may have any number of them."""

    def __init__(self, exempt: Callable[[str], bool], **given: Any) -> None:
        super().__init__(**given)
        self._exempt = exempt
        self._waited_for: _Part | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None
        self._received = 0
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._too_many():
            transport.write(_MANY)
            transport.close()
        else:
            self._turn(_Part.HEAD)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        if not self._upgraded:
            self._turn(self._part or _Part.HEAD)

    def on_response_complete(self) -> None:
        """Perhaps the next request has come with the last one. If not, an idle connection is waited for by
        uvicorn, also when it has sent a piece of one."""
        self._turn(None)
        super().on_response_complete()
        if not self.transport.is_closing():
            self._turn(self._part)

    def connection_lost(self, exc: Exception | None) -> None:
        self._turn(None)
        self.resume_writing()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True
        self._turn(None)
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalling is None:
            self._stalling = self.loop.call_later(STALLED, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None

    @property
    def _part(self) -> "_Part | None":
        """What of a request is being waited for; None of one that is being answered, and between two."""
        if self.cycle is None or self.cycle.response_complete:
            return None
        return _Part.BODY if self.cycle.more_body else _Part.ANSWER

    def _too_many(self) -> bool:
        if len(self.connections) > MOST:
            return True
        mine = _address(self)
        if mine is None or self._exempt(mine):
            return False
        return [_address(each) for each in self.connections].count(mine) > OF_ONE

    def _turn(self, part: "_Part | None") -> None:
        """A time that runs is not begun anew by one byte more of the same part."""
        if part is self._waited_for:
            return
        self._waited_for = part
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if part is _Part.HEAD:
            self._timer = self.loop.call_later(HEAD, self._late)
        elif part is _Part.BODY:
            self._timer = self.loop.call_later(LOOK, self._look, self._received)

    def _late(self) -> None:
        if self.conn.our_state is h11.IDLE:
            self.transport.write(_LATE)
        self.transport.close()

    def _look(self, before: int) -> None:
        if self._received - before < LEAST and not self.flow.read_paused:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(LOOK, self._look, self._received)


def _address(connection: object) -> str | None:
    client = getattr(connection, "client", None)
    return str(client[0]) if client else None
