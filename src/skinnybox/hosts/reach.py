"""Whether somebody answers as ssh where a machine's user would come: ready is what can be reached.

A guest says that it is ready before its way in works: its network may not have carried a packet yet, or what
forwards a port may have lost the first (passt sends a SYN once, and never again). So the host knocks itself.

What answers is the guest's and not believed: a few bytes are read, and nothing but their beginning matters.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from skinnybox.model import Forward, Instance, Network, Report

if TYPE_CHECKING:
    import socket

SSH_PORT = 22
_BANNER = b"SSH-"
_AGAIN = 0.5
"""Seconds until the next try after one that was refused."""
_FIRST_PATIENCE, _MOST_PATIENCE = 2.0, 16.0
"""How long one try may take; each that takes longer doubles it. A lost packet should cost little, and a guest
that is emulated on a busy machine needs seconds for its banner. Nor may short ones follow on each other for
ever: OpenSSH 9.8 and later shut the way for all who come from the same address (PerSourcePenalties)."""


class Way(NamedTuple):
    """Where a machine's ssh is, as a user of this host comes to it."""

    host: str
    port: int = SSH_PORT

    def __str__(self) -> str:
        """For people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SSH_PORT else f"{host}:{self.port}"


Dial: TypeAlias = "Callable[[Way], socket.socket]"
"""Begins a connection and does not wait for it. Raises OSError."""


def way_in(instance: Instance, report: Report | None) -> Way | None:
    """On the loopback; on a bridge its own address, static or else as reported. None when there is none, or
    none is known."""
    return fixed(instance) or (reported(report.addresses) if report and on_bridge(instance) else None)


def ways_in(instance: Instance) -> list[Forward]:
    """Ports of this host that lead into it: to its ssh first, then those that somebody asked for."""
    ssh = [Forward(port=instance.ssh_port, to=SSH_PORT)] if instance.ssh_port else []
    return [*ssh, *instance.forwards]


def on_bridge(instance: Instance) -> bool:
    return instance.network is Network.BRIDGE


def fixed(instance: Instance) -> Way | None:
    """What is known of it beforehand."""
    if not on_bridge(instance):
        return Way("127.0.0.1", instance.ssh_port) if instance.ssh_port else None
    static = instance.seed.network
    return None if static is None else Way(static.address.partition("/")[0])


def reported(addresses: Sequence[str]) -> Way | None:
    """Of a report's `IFNAME ADDRESS/PREFIX`, the first that does not lead back to this very host."""
    found = (_outside(words) for words in addresses)
    return next((Way(address) for address in found if address), None)


def _outside(words: str) -> str | None:
    import ipaddress

    address = ipaddress.ip_interface(words.split(" ")[1]).ip
    mapped = isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id)
    inside = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return None if inside or mapped else str(address)


def to_be_looked_at(report: Report) -> bool:
    """A guest without host keys runs no ssh server: it is ready by its word, as there is nothing else."""
    return report.ready and bool(report.ssh_host_keys)


def dial(way: Way) -> "socket.socket":
    import socket

    opened = socket.socket(socket.AF_INET6 if ":" in way.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.connect_ex((way.host, way.port))  # a refusal comes with the first look
    except BaseException:
        opened.close()
        raise
    return opened


class Knock:
    """Tries one way in, again and again, one connection at a time. `close` it."""

    def __init__(self, way: Way, dial: Dial = dial, now: Callable[[], float] = time.monotonic) -> None:
        self.way, self.begun = way, now()
        self._dial, self._now = dial, now
        self._patience = _FIRST_PATIENCE
        self._next = self._deadline = self.begun
        self._socket: socket.socket | None = None
        self._heard = b""

    def poll(self) -> bool:
        """Whether it has answered. Never blocks; to be called again until it is so."""
        if self._socket is None and self._now() >= self._next:
            self._begin()
        if self._socket is None:
            return False
        try:
            more = self._socket.recv(len(_BANNER) - len(self._heard))
        except BlockingIOError:
            self._end_late()
            return False
        except OSError:
            more = b""
        self._heard += more
        if self._heard == _BANNER or not more or not _BANNER.startswith(self._heard):
            answered = self._heard == _BANNER
            self.close()
            return answered
        return False

    def close(self) -> None:
        """Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._next = self._now() + _AGAIN

    def _begin(self) -> None:
        self._heard, self._deadline = b"", self._now() + self._patience
        self._next = self._now() + _AGAIN
        with contextlib.suppress(OSError):
            self._socket = self._dial(self.way)

    def _end_late(self) -> None:
        if self._now() >= self._deadline:
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
            self.close()
            self._next = self._now()
