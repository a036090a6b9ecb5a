"""The supervisor's view of one machine: its console with all who look at it, its reports, its end."""

import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox import process
from skinnybox.hosts.events import Journal
from skinnybox.hosts.guest_io.door import Door
from skinnybox.hosts.guest_io.event_reporter import Teller
from skinnybox.hosts.guest_io.machine_output import Log, Mailbox, Panic, conclude
from skinnybox.hosts.guest_io.run_folder import connect, machine_process
from skinnybox.hosts.guest_io.stall import Stall
from skinnybox.json_file import read_json

_CHUNK = 65536
_MOST_CHUNKS = 64
_PERIOD = 0.1
_BYTES, _READS = 50 << 10, 20
"""Taken in one period from one machine's console, and as much from its report port; QEMU waits with the rest.
Reads count too: QEMU hands the console over in a few bytes at a time, unless they are left to pile up."""
_REPORTS_EVERY = 0.5
_VIEWER_BACKLOG = 1 << 20
_LOG_LIMIT = 256 << 10
_CONNECT = 10.0
_LINE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Loop:
    """What the supervisor's event loop offers: watch a descriptor, change for what, forget it."""

    add: Callable[[int, int, Callable[[int], None]], None]
    modify: Callable[[int, int], None]
    drop: Callable[[int], None]


class Valve:
    """A socket that is read only so fast. `then` gets the bytes; b"" at the end."""

    def __init__(self, opened: socket.socket, loop: Loop, then: Callable[[bytes], None]) -> None:
        self.socket, self._loop, self._then = opened, loop, then
        self._period, self._bytes, self._reads, self._shut = 0, 0, 0, False
        opened.setblocking(False)
        loop.add(opened.fileno(), select.EPOLLIN, self._ready)

    def _ready(self, events: int) -> None:
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # a machine's end is told also of a socket that is held back
            self._shut = False
            self._loop.drop(self.socket.fileno())
        self._bytes += len(data)
        self._reads += 1
        if data and (self._bytes > _BYTES or self._reads >= _READS):
            self._shut = True
            self._loop.modify(self.socket.fileno(), 0)
        self._then(data)

    def tick(self) -> None:
        """Let the next period's bytes through."""
        period = int(time.monotonic() / _PERIOD)
        if period == self._period:
            return
        # What was taken beyond the bound in one gulp is paid back in the periods after it.
        self._period, self._bytes, self._reads = period, max(0, self._bytes - _BYTES), 0
        if self._shut and self._bytes <= _BYTES:
            self._shut = False
            self._loop.modify(self.socket.fileno(), select.EPOLLIN)

    def close(self) -> None:
        self._loop.drop(self.socket.fileno())
        self.socket.close()


class Hub:
    """Any number of viewers of one console; what they type is passed on. A slow one is let go."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._viewers: dict[int, tuple[socket.socket, bytearray]] = {}
        self.console: socket.socket | None = None

    def add(self, viewer: socket.socket) -> None:
        self._viewers[viewer.fileno()] = (viewer, bytearray())
        self._loop.add(viewer.fileno(), select.EPOLLIN, lambda events: self._ready(viewer, events))

    def send(self, data: bytes) -> None:
        for viewer, backlog in list(self._viewers.values()):
            backlog += data
            self._flush(viewer, backlog)

    def close(self) -> None:
        for viewer, _ in list(self._viewers.values()):
            self._remove(viewer)

    def _ready(self, viewer: socket.socket, events: int) -> None:
        backlog = self._viewers[viewer.fileno()][1]
        if events & select.EPOLLOUT:
            self._flush(viewer, backlog)
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._typed(viewer)

    def _typed(self, viewer: socket.socket) -> None:
        try:
            data = viewer.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._pass_on(data)
        else:
            self._remove(viewer)

    def _pass_on(self, data: bytes) -> None:
        # A guest that does not read loses what is typed beyond the socket's buffer, as on a real line.
        with contextlib.suppress(OSError):
            if self.console is not None:
                self.console.send(data)

    def _flush(self, viewer: socket.socket, backlog: bytearray) -> None:
        try:
            if backlog:
                del backlog[: viewer.send(backlog)]
        except BlockingIOError:
            pass
        except OSError:
            self._remove(viewer)
            return
        if len(backlog) > _VIEWER_BACKLOG:
            self._remove(viewer)
            return
        self._loop.modify(viewer.fileno(), select.EPOLLIN | (select.EPOLLOUT if backlog else 0))

    def _remove(self, viewer: socket.socket) -> None:
        """One that typed and went, while the machine printed, has not been read yet."""
        self._viewers.pop(viewer.fileno(), None)
        with contextlib.suppress(OSError):
            for data in iter(lambda: viewer.recv(4096), b""):
                self._pass_on(data)
        self._loop.drop(viewer.fileno())
        viewer.close()


class Watch:
    """One running machine. `over` once its end is recorded."""

    def __init__(
        self, folder: Path, uuid: UUID, values: dict[str, Any], loop: Loop, journal: Journal
    ) -> None:
        self.over = False
        self.hub = Hub(loop)
        self._folder, self._values, self._loop = folder, values, loop
        self._door = Door(values, read_json(folder / "report.json"))
        self._mailbox = Mailbox(folder, uuid, values["nonce"], self._door.seen)
        self._teller = Teller(folder, uuid, values, journal)
        self._stall = Stall(folder, self._say, self._teller.stalled, self._teller.went_on)
        self._panic, self._log = Panic(), Log(folder)
        self._valves: list[Valve] = []
        self._cause: str | None = None
        self._panicked: str | None = None
        self._events = b""
        self._next_report = 0.0
        self._pidfd = -1

    def attach(self) -> bool:
        """Listen to it; a machine that has ended meanwhile is recorded as such, and False returned."""
        self._teller.started()
        if self._door.last:
            self._teller.heard(self._door.last)
        opened = process.descriptor(machine_process(self._values))
        if opened is None:
            self._end()
            return False
        self._pidfd = opened
        self._loop.add(opened, select.EPOLLIN, lambda _: self._end())
        with contextlib.suppress(OSError):
            self._open("console", self._printed)
            self._open("report", self._mailbox.feed)
            monitor = self._open("events", self._spoken)
            # A machine is started paused, so that nothing it prints is lost; one that runs does not mind.
            monitor.send(b'{"execute":"qmp_capabilities"}\n{"execute":"cont"}\n')
        return not self.over

    def tick(self) -> None:
        """What is to be done now and then: at most one report in half a second, and the bounds."""
        if self.over:
            return
        for valve in self._valves:
            valve.tick()
        if time.monotonic() >= self._next_report and self._collect():
            self._next_report = time.monotonic() + _REPORTS_EVERY
        self._reach()
        self._stall.tick()
        self._bound_log()

    def _collect(self) -> bool:
        said = self._mailbox.deliver()
        if said:
            self._teller.heard(said)
        return said is not None

    def _reach(self) -> None:
        """It is told to be ready when it is written down that it was reached, which a full disk puts off."""
        report = self._door.poll()
        if report is not None:
            with contextlib.suppress(OSError):
                self._mailbox.keep(report)
                self._door.kept(report)
                self._teller.heard(report)

    def _open(self, name: str, then: Callable[[bytes], None]) -> socket.socket:
        opened = connect(self._folder, name, _CONNECT)
        self._valves.append(Valve(opened, self._loop, then))
        if name == "console":
            self.hub.console = opened
        return opened

    def _printed(self, data: bytes) -> None:
        self._panic.feed(data)
        self.hub.send(data)
        # A full disk costs the log, never the machine or this process.
        with contextlib.suppress(OSError):
            self._log.write(data)

    def _spoken(self, data: bytes) -> None:
        *lines, self._events = (self._events + data).split(b"\n")
        self._events = self._events[:_LINE_LIMIT]
        for line in lines:
            with contextlib.suppress(ValueError):
                self._event(json.loads(line))

    def _event(self, said: dict[str, Any]) -> None:
        match said.get("event"):
            case "SHUTDOWN":
                self._cause = said["data"]["reason"]
            case "BLOCK_IO_ERROR":
                self._stall.met(said["data"])
            case "RESET" if said["data"]["guest"]:
                self._drain()
                self._panicked = self._panic.take()
                if self._panicked:
                    self._say(b'{"execute":"quit"}\n')

    def _drain(self) -> None:
        """Take what the console holds already: the last words come before the event on another socket."""
        with contextlib.suppress(OSError):
            for _ in range(_MOST_CHUNKS):
                if self.hub.console and (data := self.hub.console.recv(_CHUNK)):
                    self._printed(data)

    def _say(self, command: bytes) -> None:
        with contextlib.suppress(OSError):
            self._valves[-1].socket.send(command)

    def _bound_log(self) -> None:
        with contextlib.suppress(OSError):
            path = self._folder / "qemu.log"
            if path.stat().st_size > _LOG_LIMIT:
                os.truncate(path, 0)

    def _end(self) -> None:
        """It is gone: take what is still in the sockets, then write down how it went."""
        if self.over:
            return
        self.over = True
        self._last_words()
        with contextlib.suppress(OSError):
            self._collect()
            panic = self._panicked or self._panic.take()
            conclude(self._folder, self._values, self._cause, panic, self._teller.ended)
        for valve in self._valves:
            valve.close()
        self._door.close()
        self.hub.close()
        self._log.close()
        if self._pidfd >= 0:
            self._loop.drop(self._pidfd)
            os.close(self._pidfd)

    def _last_words(self) -> None:
        takers = (self._printed, self._mailbox.feed, self._spoken)
        for valve, take in zip(self._valves, takers, strict=False):
            with contextlib.suppress(OSError):
                for _ in range(_MOST_CHUNKS):
                    take(valve.socket.recv(_CHUNK))
