"""Connections to a pool: timeouts everywhere, and TLS that is verified unless somebody said otherwise."""

import hashlib
import http.client
import socket
import ssl
import time
import xmlrpc.client
from collections.abc import Callable
from typing import Any

from skinnybox.errors import Corrupt, NotFound, UsageError
from skinnybox.hosts.xapi.address import Address

Connect = Callable[[str], http.client.HTTPConnection]
"""From HOST[:PORT] to a connection, not yet open."""

_KNOCK = 5.0
_IDLE = 20.0
"""Seconds after which a kept connection may have been closed at its other end: a new one is opened then."""


class Secure(http.client.HTTPSConnection):
    """The zone of an address is no part of what a certificate or the other end knows."""

    def __init__(self, host: str, *, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, timeout=timeout, context=context)
        self._of_tls = context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._of_tls.wrap_socket(self.sock, server_hostname=self.host.partition("%")[0])


class Pinned(Secure):
    """Speaks only to who has one of these certificates."""

    def __init__(self, host: str, *, pins: tuple[str, ...], timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, timeout=timeout, context=context)
        self._pins = pins

    def connect(self) -> None:
        super().connect()
        shown = self.sock.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(shown).hexdigest()
        if found not in self._pins:
            self.close()
            hint = "somebody may be in between; if the certificate was renewed, give its fingerprint: sha256="
            raise Corrupt(f"{self.host} shows another certificate: {found}", hint=f"{hint}{found}")


def connector(address: Address, scheme: str) -> Connect:
    """Raises NotFound and UsageError for a CA file that is none."""
    if scheme == "http":
        return lambda host: http.client.HTTPConnection(host, timeout=address.timeout)
    context = _context(address)
    if address.pins:
        return lambda host: Pinned(host, pins=address.pins, timeout=address.timeout, context=context)
    return lambda host: Secure(host, timeout=address.timeout, context=context)


def _context(address: Address) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(address.ca) if address.ca else None)
    except FileNotFoundError as error:
        raise NotFound(f"there is no CA file {address.ca}") from error
    except OSError as error:
        raise UsageError(f"{address.ca} holds no certificates: {error}") from error
    if address.pins or address.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Transport(xmlrpc.client.Transport):
    """One kept connection to `host`. Never sends a call twice: who lost an answer must look what happened."""

    user_agent = "skinnybox"

    def __init__(self, connect: Connect, host: str) -> None:
        super().__init__()
        self.host = host
        self._connect = connect
        self._kept: tuple[str, http.client.HTTPConnection] | None = None
        self._used = 0.0

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        if self._kept and (self._kept[0] != host or time.monotonic() - self._used > _IDLE):
            self.close()
        if self._kept is None:
            self._kept = host, self._connect(host)
        return self._kept[1]

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:
        answer = self.single_request(host, handler, request_body, verbose)
        self._used = time.monotonic()
        return answer

    def close(self) -> None:
        if self._kept:
            self._kept[1].close()
        self._kept = None


def split(url: str) -> tuple[str, str]:
    """Scheme and HOST[:PORT]."""
    scheme, _, host = url.partition("://")
    return scheme, host


def knock(connect: Connect, host: str) -> None:
    """OSError where nobody answers at HOST[:PORT] within _KNOCK seconds."""
    to = connect(host)
    socket.create_connection((to.host, to.port), timeout=_KNOCK).close()
