"""One process that serves one state folder, from its sockets to its end."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from ssl import SSLContext

import uvicorn
from fastapi import FastAPI

from skinnybox.fleet.service import Fleet
from skinnybox.gate.origin import UNIX_SOCKET
from skinnybox.gate.served import LOOPBACK, Served
from skinnybox.serve import certificate, key
from skinnybox.serve.addresses import DEFAULT, Address, listening, owners_socket
from skinnybox.serve.alone import alone
from skinnybox.serve.app import create_app
from skinnybox.serve.certificate import Certificate
from skinnybox.serve.server import Door, Server

SOCKET = "serve.sock"
_GRACE = 10
"""Seconds in which requests that go on may be answered when the server ends."""
_IDLE = 20

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How it is served. `socket` None: in the state folder. `names` are those by which people call it, beside
    its addresses; `proxies` are addresses whose word on who asks is believed."""

    listen: tuple[Address, ...] = (DEFAULT,)
    socket: Path | None = None
    certificate: Certificate | None = None
    names: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS only, be it a proxy's."""
        return self.certificate is not None or bool(self.proxies)

    def is_proxy(self, address: str) -> bool:
        found = ip_address(address.partition("%")[0])
        return any(found in ip_network(proxy) for proxy in self.proxies)

    @property
    def hosts(self) -> frozenset[str]:
        addresses = {address.name for address in self.listen if not address.everywhere}
        return LOOPBACK | addresses | {name.lower() for name in self.names} | {socket.gethostname().lower()}

    @property
    def urls(self) -> list[str]:
        scheme = "https" if self.certificate else "http"
        return [f"{scheme}://{self._called(address)}:{address.port}/" for address in self.listen]

    def _called(self, address: Address) -> str:
        """By the first name that was given: a certificate is one of names."""
        if self.certificate and self.names:
            return self.names[0]
        return socket.gethostname() if address.everywhere else address.name


def refuse_plain(how: Serving) -> None:
    """UsageError for an address that others reach without TLS."""
    open_to_others = [address for address in how.listen if not address.loopback]
    if open_to_others and how.certificate is None:
        raise certificate.refuse_plain(str(open_to_others[0]))


def serve(fleet: Fleet, folder: Path, how: Serving, told: Told) -> None:
    """Blocks until a signal ends it (server.py). Conflict while another process serves the folder, or listens
    there; UsageError for what would be read by others."""
    refuse_plain(how)
    early = _hung_up()
    tls = certificate.context(how.certificate) if how.certificate else None
    with alone(folder), _doors(folder, how, tls) as doors:
        _finish(fleet, told)
        served = Served(fleet=fleet, hosts=how.hosts, key=key.signing_key(folder), secure=how.secure)
        app = create_app(served)
        server = Server(
            _config(app, how), doors, exempt=how.is_proxy,
            ready=lambda: _tell(fleet, folder, how, told), asked_early=early,
            ending=lambda: _end(app, told),
            renew=lambda: _renew(how, tls, told),
        )  # fmt: skip
        asyncio.run(server.serve())


def _hung_up() -> list[int]:
    """Grows by each SIGHUP from now on, which ended us where nobody takes it. The server takes it over once
    it answers."""
    found: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: found.append(number))
    return found


@contextmanager
def _doors(folder: Path, how: Serving, tls: SSLContext | None) -> Iterator[list[Door]]:
    with owners_socket(how.socket or folder / SOCKET) as own:
        doors = [Door(socket=own, name=UNIX_SOCKET)]
        try:
            for address in how.listen:
                doors.append(Door(socket=listening(address), tls=tls))
            yield doors
        finally:
            for door in doors[1:]:
                door.socket.close()


def _finish(fleet: Fleet, told: Told) -> None:
    """What killed commands and servers left; and every part of the fleet there before threads come."""
    for outcome in fleet.finish_unfinished():
        said = outcome.error.message if outcome.error else "what was left half done is finished"
        told(f"{outcome.name}: {said}")
    _ = fleet.background, fleet.jobs, fleet.tokens, fleet.masters, fleet.overlays, fleet.files, fleet.remote
    _ = fleet.upkeep, fleet.rebases


def _config(app: FastAPI, how: Serving) -> uvicorn.Config:
    return uvicorn.Config(
        app, lifespan="on", log_config=None, access_log=False, server_header=False,
        loop="asyncio", ws="websockets-sansio", ws_max_size=1 << 16, ws_per_message_deflate=False,
        h11_max_incomplete_event_size=1 << 15, reset_contextvars=True,
        proxy_headers=bool(how.proxies), forwarded_allow_ips=list(how.proxies),
        timeout_keep_alive=_IDLE, timeout_graceful_shutdown=_GRACE,
    )  # fmt: skip


def _tell(fleet: Fleet, folder: Path, how: Serving, told: Told) -> None:
    told(f"serving {folder}, also at {how.socket or folder / SOCKET}; Ctrl-C ends it")
    for url in how.urls:
        told(f"open {url}")
    if not fleet.tokens.all():
        told("nobody can sign in yet: `skinnybox token create NAME --role admin` makes a token")


def _end(app: FastAPI, told: Told) -> None:
    """Who follows would be waited for, and for ever."""
    app.state.hub.close()
    running = app.state.served.fleet.background.running
    jobs = f"{running} job{'s' if running != 1 else ''} and " if running else ""
    told(f"ending {jobs}what is being answered; again leaves at once")


def _renew(how: Serving, tls: SSLContext | None, told: Told) -> None:
    if how.certificate and tls:
        certificate.renew(tls, how.certificate)
        told(f"read {how.certificate.chain} anew")


def log_to_standard_error() -> None:
    logging.basicConfig(level=logging.WARNING, format="skinnybox: %(message)s")
    logging.getLogger("skinnybox.server").setLevel(logging.INFO)
