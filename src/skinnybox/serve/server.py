"""uvicorn with several doors, our own signals, and systemd told.

SIGTERM, SIGINT   streams end, requests are answered, jobs end where nothing is lost; a second one leaves at
                  once, as kill -9 would: the next command, or the next server, finishes what was begun
SIGHUP            the certificate's files are read anew
"""

import asyncio
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import uvicorn

from skinnybox.errors import SkinnyboxError
from skinnybox.serve.notify import notify
from skinnybox.serve.patience import PatientProtocol

log = logging.getLogger("skinnybox.server")

_BACKLOG = 256
_HANDSHAKE = 10.0
_ENDINGS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where people come in. `name` is what the application finds as its `door`; None over TCP."""

    socket: socket.socket
    tls: ssl.SSLContext | None = None
    name: str | None = None


class Server(uvicorn.Server):
    """`ready` is called once it answers, `ending` when it is told to end, `renew` by SIGHUP; what of these
    came before it answers is in `asked_early`."""

    def __init__(
        self, config: uvicorn.Config, doors: Sequence[Door], *, exempt: Callable[[str], bool],
        ready: Callable[[], None], ending: Callable[[], None], renew: Callable[[], None],
        asked_early: Sequence[int] = (),
    ) -> None:  # fmt: skip
        super().__init__(config)
        self._doors, self._exempt = doors, exempt
        self._ready, self._ending, self._renew, self._asked_early = ready, ending, renew, asked_early

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        self.servers = [await self._open(door) for door in self._doors]
        self.started = True
        notify("READY=1")
        self._ready()
        if self._asked_early:
            self._read_anew()

    async def _open(self, door: Door) -> asyncio.Server:
        handshake = _HANDSHAKE if door.tls else None
        return await asyncio.get_running_loop().create_server(
            partial(self._protocol, door), sock=door.socket, ssl=door.tls, backlog=_BACKLOG,
            ssl_handshake_timeout=handshake,
        )  # fmt: skip

    def _protocol(self, door: Door) -> PatientProtocol:
        inside = dict(self.lifespan.state)
        if door.name is not None:
            inside["door"] = door.name
        return PatientProtocol(
            self._exempt, config=self.config, server_state=self.server_state, app_state=inside
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _ENDINGS:
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGHUP, self._read_anew)
        try:
            yield
        finally:
            for number in (*_ENDINGS, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _end(self, number: int) -> None:
        if self.should_exit:
            os.write(2, b"skinnybox: left at once; the next start finishes or clears away what was begun\n")
            os._exit(128 + number)
        self.should_exit = True
        notify("STOPPING=1")
        self._ending()

    def _read_anew(self) -> None:
        notify("RELOADING=1")
        try:
            self._renew()
        except SkinnyboxError as error:
            log.error("the certificate stays as it was: %s", error.message)
        notify("READY=1")
