"""The door before everything else: what is no request of ours is refused before any route, or any body, is
looked at; and whatever leaves bears the headers that keep a browser from doing more with it than it should.

It is plain ASGI: it hands on what streams as it comes.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skinnybox.gate import origin, problems
from skinnybox.gate.served import Served

log = logging.getLogger("skinnybox.server")

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with less, browsers call the origin of our own forms null
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""A response that has one of them already keeps it."""

_TOO_LARGE = 413
_REFUSED = 1008
"""Of a WebSocket: policy violation (RFC 6455, section 7.4.1)."""


class Doors:
    """Around the whole application. What nobody foresaw ends here: it is logged, and told without a word of
    what is inside."""

    def __init__(self, app: ASGIApp, served: Callable[[], Served]) -> None:
        self._app, self._served = app, served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        answer = _Answer(scope, receive, send)
        try:
            origin.check(HTTPConnection(scope), self._served())
        except HTTPException as refused:
            await answer.refuse(problems.of_http(refused))
            return
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            await answer.failed(error)


class _Answer:
    """What is sent to whoever asked."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._started = self._replaced = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            if (problem := _plain(message)) is not None:
                self._replaced = True
                await problem(self._scope, self._receive, self.send_as_ours)
                return
            _mark(message)
        if not self._replaced:
            await self._send(message)

    async def send_as_ours(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            _mark(message)
        await self._send(message)

    async def refuse(self, problem: Response) -> None:
        if self._scope["type"] == "websocket":
            await self._receive()  # its connect
            await self._send({"type": "websocket.close", "code": _REFUSED, "reason": ""})
        else:
            await problem(self._scope, self._receive, self.send_as_ours)

    async def failed(self, error: Exception) -> None:
        """What an exception handler has told by now is told once."""
        log.error("%s %s", self._scope.get("method", "WS"), self._scope["path"], exc_info=error)
        if self._scope["type"] == "http" and not self._started:
            await problems.of_exception(error)(self._scope, self._receive, self.send_as_ours)


def _plain(message: Message) -> Response | None:
    """The problem in place of what the framework tells as plain text: that a body is too large."""
    headers, status = Headers(raw=message["headers"]), message["status"]
    if status != _TOO_LARGE or not headers.get("content-type", "").startswith("text/plain"):
        return None
    return problems.of_http(HTTPException(status))


def _mark(message: Message) -> None:
    headers = MutableHeaders(raw=message.setdefault("headers", []))
    for name, value in _missing(headers):
        headers[name] = value


def _missing(headers: MutableHeaders) -> Iterable[tuple[str, Any]]:
    return [(name, value) for name, value in HEADERS.items() if name not in headers]
