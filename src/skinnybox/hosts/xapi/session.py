"""Calls to a pool: one session for each thread, all logged out in the end.

A call is sent once. Where the answer is lost, calls that only read or set are sent again; others raise Lost,
and who made them looks in the pool for what came of it (everything ours is marked).
"""

import contextlib
import http.client
import ssl
import threading
import time
import weakref
import xmlrpc.client
from collections.abc import Callable
from typing import Any
from xml.parsers.expat import ExpatError

import XenAPI

from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.xapi import transport
from skinnybox.hosts.xapi.address import Address
from skinnybox.hosts.xapi.errors import Booting, translated
from skinnybox.hosts.xapi.transport import Transport

NULL = "OpaqueRef:NULL"
ORIGINATOR = "skinnybox"
EVENTS_AT_ONCE = 30.0
_LOST = (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError)
_REPEATABLE = ("get_", "set_", "remove_from_", "from", "destroy", "add_tags")
_MOST_HOPS = 3


class Lost(SkinnyboxError):
    """The connection broke: the call may have been done or not."""


class Sessions:
    """`patience`: seconds that an object of the pool may be busy with something else."""

    def __init__(self, address: Address, password: Callable[[], str], *, patience: float = 60.0) -> None:
        self.address = address
        self.scheme, self._host = transport.split(address.url)
        self._hosts = [transport.split(url)[1] for url in (address.url, *address.others)]
        self.connect = transport.connector(address, self.scheme)
        self.changes = 0
        self.patience = patience
        self._password = password
        self._known: str | None = None
        self._lock = threading.Lock()
        self._own = threading.local()
        self._all: list[tuple[XenAPI.Session, Transport]] = []
        self._threads: dict[Transport, threading.Thread] = {}
        weakref.finalize(self, _end_all, self._all)  # also for who forgot close, and when Python ends

    def call(self, method: str, *params: Any) -> Any:
        """`method` as `VM.create`. What the pool refuses becomes an error of ours; busy is waited for."""
        reads = _name(method).startswith("get_") or method == "event.from"
        deadline, pause = time.monotonic() + self.patience, 0.05
        try:
            while True:
                try:
                    return self._safely(method, params)
                except XenAPI.Failure as failure:
                    busy = failure.details[0] == "OTHER_OPERATION_IN_PROGRESS"
                    if not busy or time.monotonic() + pause > deadline:
                        raise translated(failure.details) from failure
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
        finally:
            self.changes += not reads

    def _safely(self, method: str, params: tuple[Any, ...]) -> Any:
        """Sent again where that does no harm."""
        for again in (True, False):
            try:
                return self._sent(method, params)
            except XenAPI.Failure as failure:
                if failure.details[0] != "HOST_IS_SLAVE" or not again:
                    raise
                self._forget()
            except _LOST as error:
                own: Transport | None = getattr(self._own, "transport", None)  # none: `close` came in between
                if own:
                    own.close()
                    self._leave_silent(own)
                if not own or not again or not _name(method).startswith(_REPEATABLE):
                    raise _lost(self.address.url, method, error) from error
        raise AssertionError(method)

    def _sent(self, method: str, params: tuple[Any, ...]) -> Any:
        call = self._session().xenapi
        for part in method.split("."):
            call = getattr(call, part)
        return call(*params)

    def _session(self) -> XenAPI.Session:
        if getattr(self._own, "session", None) is None:
            self._own.session, self._own.transport = self._left() or self._begun()
        return self._own.session

    def _begun(self) -> tuple[XenAPI.Session, Transport]:
        found = self._logged_in()
        with self._lock:
            self._all.append(found)
            self._threads[found[1]] = threading.current_thread()
        return found

    def _left(self) -> tuple[XenAPI.Session, Transport] | None:
        """That of a thread that has ended: a pool allows only so many."""
        with self._lock:
            for session, own in self._all:
                if not self._threads[own].is_alive():
                    self._threads[own] = threading.current_thread()
                    return session, own
        return None

    def _logged_in(self) -> tuple[XenAPI.Session, Transport]:
        """By the host that was the master last, or by any of the address that answers: a pool whose master
        died has another one."""
        if len(self._hosts) == 1:
            return self._logged_in_by(self._host)
        silent = []
        for host in dict.fromkeys([self._host, *self._hosts]):
            try:
                transport.knock(self.connect, host)
                return self._logged_in_by(host)
            except OSError as error:
                silent.append(f"{host}: {error}")
            except (Lost, Booting) as error:
                if isinstance(error.__cause__, ssl.SSLError):
                    raise
                silent.append(error.message)
        hint = "is any of these hosts up? try again"
        raise Lost(f"no host of the pool answers: {'; '.join(silent)}", hint=hint)

    def _leave_silent(self, own: Transport) -> None:
        """The session of a host that does not answer any more, where others may: it has ended with it."""
        if len(self._hosts) > 1:
            try:
                transport.knock(self.connect, own.host)
            except OSError:
                self._drop()

    def _logged_in_by(self, host: str) -> tuple[XenAPI.Session, Transport]:
        """On the pool's master, wherever we began."""
        for _ in range(_MOST_HOPS):
            own = Transport(self.connect, host)
            session = XenAPI.Session(f"{self.scheme}://{host}", transport=own)
            try:
                session.xenapi.login_with_password(self.address.user, self._secret(), "1.0", ORIGINATOR)
            except XenAPI.Failure as failure:
                own.close()
                if failure.details[0] != "HOST_IS_SLAVE":
                    raise translated(failure.details) from failure
                host = _moved(host, failure.details[1])
                continue
            except _LOST as error:
                own.close()
                raise _lost(f"{self.scheme}://{host}", "login", error) from error
            self._host = host
            return session, own
        raise SkinnyboxError(f"{self.address.url}: its hosts disagree on who is the master")

    def _secret(self) -> str:
        with self._lock:
            if self._known is None:
                self._known = self._password()
            return self._known

    def handle(self) -> str:
        """The session's reference, for transfers by HTTP. Nothing renews it there."""
        return str(self._session().handle)

    @property
    def host(self) -> str:
        """HOST[:PORT] of the master."""
        self._session()
        return self._host

    def _forget(self) -> None:
        own = self._drop()
        if own:
            _end(*own)

    def _drop(self) -> tuple[XenAPI.Session, Transport] | None:
        """None when `close` came in between, which ended it."""
        session, own = getattr(self._own, "session", None), getattr(self._own, "transport", None)
        self._own.session = None
        with self._lock:
            if session is None or own is None or (session, own) not in self._all:
                return None
            self._all.remove((session, own))
            del self._threads[own]
        return session, own

    def close(self) -> None:
        """Log every session out. Idempotent; a later call logs in again."""
        with self._lock:
            _end_all(self._all)
            self._threads.clear()
        self._own = threading.local()


def _end_all(sessions: list[tuple[XenAPI.Session, Transport]]) -> None:
    while sessions:
        _end(*sessions.pop())


def _end(session: XenAPI.Session, own: Transport) -> None:
    # The pool ends by itself what cannot be ended, and when Python ends anything may be gone.
    with contextlib.suppress(Exception):
        session.xenapi.session.logout()
    own.close()


def _name(method: str) -> str:
    return method.rpartition(".")[2]


def _moved(host: str, address: str) -> str:
    """The master's address with the port we came by, and with the zone where it is one of the link."""
    port = host.rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""
    zone = host.partition("]")[0].partition("%")[2]
    if zone and address.lower().startswith("fe80:") and "%" not in address:
        address = f"{address}%{zone}"
    plain = f"[{address}]" if ":" in address else address
    return f"{plain}:{port}" if port else plain


def _lost(url: str, method: str, error: Exception) -> Lost:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "?ca=FILE or ?sha256=FINGERPRINT says whom to trust; ?insecure=yes trusts anybody"
        return Lost(f"{url} cannot prove who it is: {error.verify_message}", hint=hint)
    said = str(error) or type(error).__name__
    return Lost(f"{url} did not answer {method}: {said}", hint="is the pool's master up? try again")
