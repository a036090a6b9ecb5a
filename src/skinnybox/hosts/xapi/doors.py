"""Which machines of a pool can be reached (reach.py), found out by whoever looks at it: nobody else is there.

That a machine was is remembered in what happened to it (told.py): it was told to be ready after its last
start.
"""

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from skinnybox.hosts import reach
from skinnybox.hosts.reach import Dial, Knock
from skinnybox.hosts.xapi import observe, tags
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.model import Instance, Report

_PATIENCE, _POLL = 1.0, 0.02
"""Seconds for which a look waits for a machine that is new to it, and how often it tries meanwhile."""
_AT_ONCE = 128

Start = tuple[UUID, str]
"""One start of a machine: its nonce."""


class Doors:
    """Those of one pool. `knock` first; blocks for _PATIENCE, once for each start of a machine."""

    def __init__(self, dial: Dial = reach.dial, *, reach: bool = True) -> None:
        self._dial, self._reach = dial, reach
        self._lock = threading.Lock()
        self._pulse: object = None
        self._wanted: dict[Start, tuple[Instance, Report]] = {}
        self._knocks: dict[Start, Knock] = {}
        self.open: frozenset[Start] = frozenset()
        self._domains: dict[UUID, str] = {}
        self._restarted: set[UUID] = set()

    def knock(self, pool: Pool, pulse: object, told: Mapping[UUID, datetime]) -> None:
        """`told`: when machines were told to be ready. `pulse` changes when a machine says something new."""
        if not self._reach:
            return
        with self._lock:
            if pulse != self._pulse:
                self._wanted, self._pulse = self._found(pool, told), pulse
                self._forget()
            while self._try() and any(
                knock.begun + _PATIENCE > time.monotonic() for knock in self._knocks.values()
            ):
                time.sleep(_POLL)

    @property
    def shut(self) -> bool:
        """Whether there is a machine that is ready and did not answer yet."""
        return bool(self._wanted)

    def opened(self) -> bool:
        """Whether a machine has answered since the last look. Does not block."""
        with self._lock:
            before = self.open
            self._try()
            return self.open != before

    def reachable(self, uuid: UUID, nonce: str, host_keys: tuple[str, ...]) -> bool | None:
        """Of a guest that is ready, as Report.reachable."""
        return (uuid, nonce) in self.open if self._reach and host_keys else None

    def answers(self, report: Report) -> bool | None:
        """What Report.reachable is, of any report."""
        if not report.ready:
            return None
        return self.reachable(report.instance, report.nonce, report.ssh_host_keys)

    def close(self) -> None:
        for knock in self._knocks.values():
            knock.close()

    def _found(self, pool: Pool, told: Mapping[UUID, datetime]) -> dict[Start, tuple[Instance, Report]]:
        """Those that say they are ready and were not reached yet; what was before us is noted."""
        ours, found = pool.ours(), {}
        self._shut_restarted({uuid: record["domid"] for uuid, (_, record) in ours.items()})
        for uuid, report in observe.reports(pool, ours, told).items():
            start, record = (uuid, report.nonce), ours[uuid][1]
            if not reach.to_be_looked_at(report) or start in self.open:
                continue
            instance, since = tags.readable_instance(record), observe.since(pool, record)
            before = uuid not in self._restarted and uuid in told
            if before and (since is None or since <= told[uuid]):
                self.open |= {start}
            elif instance is not None:
                found[start] = (instance, report)
        return found

    def _shut_restarted(self, domains: Mapping[UUID, str]) -> None:
        """Who restarts a machine past us gives it no fresh nonce, so that it seems to be the start at which
        it was reached: its domain tells, to who looks before and after."""
        self._restarted |= {
            uuid for uuid, domain in domains.items() if self._domains.get(uuid, domain) != domain
        }
        self.open = frozenset(start for start in self.open if start[0] not in self._restarted)
        self._domains = dict(domains)

    def _forget(self) -> None:
        for start in [start for start in self._knocks if start not in self._wanted]:
            self._knocks.pop(start).close()

    def _try(self) -> bool:
        """Every machine that can be knocked at, once; whether any is left that did not answer."""
        for start, (instance, report) in list(self._wanted.items()):
            way, knock = reach.way_in(instance, report), self._knocks.get(start)
            if knock is not None and knock.way != way:
                self._knocks.pop(start).close()
                knock = None
            if knock is None and way is not None and len(self._knocks) < _AT_ONCE:
                knock = self._knocks[start] = Knock(way, self._dial)
            if knock is not None and knock.poll():
                self.open |= {start}
                self._restarted.discard(start[0])
                del self._wanted[start], self._knocks[start]
        return bool(self._knocks)
