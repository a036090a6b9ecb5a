"""The small process that listens to every machine of one state folder.

It keeps their consoles and reports, learns how each of them ends, and lets others look at a console. One per
folder, started on demand; it goes a while after the last machine. Killed, it loses what is said meanwhile and
nothing else: machines run on, and the next one takes them over.

Who connects says one line: `adopt UUID` (answer `ok` once it is listened to) or `console UUID` (`ok`, then
both directions of the console). Any other answer is the reason why not.
"""

import contextlib
import fcntl
import os
import resource
import select
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from skinnybox.hosts.events import Journal
from skinnybox.hosts.guest_io.run_folder import listen, read_machine
from skinnybox.hosts.guest_io.watch import Loop, Watch

LINGER = 5.0
"""Seconds without a machine after which it ends."""
_TICK = 0.1
_LINE = 200
_MOST_CLIENTS = 256


class Supervisor:
    """The event loop: a table from descriptor to what to do when it is ready."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._journal = Journal(runs)
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self._watched: dict[UUID, Watch] = {}
        self._clients: set[socket.socket] = set()
        self._loop = Loop(self._add, self._modify, self._drop)
        self._idle_since = time.monotonic()

    def run(self) -> None:
        with listen(self._runs, "supervisor") as door:
            door.setblocking(False)
            self._add(door.fileno(), select.EPOLLIN, lambda _: self._accept(door))
            self._adopt_all()
            next_tick = 0.0
            while not self._finished():
                for descriptor, events in self._poll.poll(_TICK if self._watched else 1.0):
                    self._handle(descriptor, events)
                if time.monotonic() >= next_tick:  # not for every byte of a guest that prints for ever
                    self._tick()
                    next_tick = time.monotonic() + _TICK
            (self._runs / "supervisor").unlink(missing_ok=True)

    def _handle(self, descriptor: int, events: int) -> None:
        """What one machine says must not cost the others their supervisor, not even by a mistake of ours."""
        try:
            if descriptor in self._ready:
                self._ready[descriptor](events)
        except Exception:
            traceback.print_exc()
            self._drop(descriptor)

    def _add(self, descriptor: int, events: int, then: Callable[[int], None]) -> None:
        self._ready[descriptor] = then
        self._poll.register(descriptor, events)

    def _modify(self, descriptor: int, events: int) -> None:
        self._poll.modify(descriptor, events)

    def _drop(self, descriptor: int) -> None:
        if self._ready.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def _adopt_all(self) -> None:
        for path in self._runs.glob("*/machine.json"):
            with contextlib.suppress(ValueError, OSError):
                self._adopt(UUID(path.parent.name))

    def _adopt(self, uuid: UUID) -> str:
        if uuid in self._watched:
            self._watched[uuid].tick()
        if uuid in self._watched and not self._watched[uuid].over:
            return "ok"
        folder = self._runs / str(uuid)
        values = read_machine(folder)
        if values is None:
            return "it does not run"
        watch = Watch(folder, uuid, values, self._loop, self._journal)
        if watch.attach():
            self._watched[uuid] = watch
            return "ok"
        return "it has ended"

    def _tick(self) -> None:
        for uuid, watch in list(self._watched.items()):
            try:
                watch.tick()
            except Exception:
                traceback.print_exc()
                watch.over = True
            if watch.over:
                del self._watched[uuid]
        if self._watched or self._clients:
            self._idle_since = time.monotonic()

    def _finished(self) -> bool:
        return time.monotonic() - self._idle_since > LINGER or not self._runs.is_dir()

    def _accept(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client, _ = door.accept()
            if len(self._clients) >= _MOST_CLIENTS:
                client.close()
                return
            client.setblocking(False)
            self._clients.add(client)
            self._add(client.fileno(), select.EPOLLIN, lambda _: self._asked(client))

    def _asked(self, client: socket.socket) -> None:
        self._drop(client.fileno())
        self._clients.discard(client)
        self._idle_since = time.monotonic()
        try:
            verb, _, name = client.recv(_LINE).decode("ascii").strip().partition(" ")
            answer = self._adopt(UUID(name))
        except (OSError, ValueError):
            client.close()
            return
        with contextlib.suppress(OSError):
            client.send(answer.encode() + b"\n")
        if verb == "console" and answer == "ok":
            self._watched[UUID(name)].hub.add(client)
        else:
            client.close()


def main(runs: Path) -> None:
    """Serve the folder until no machine is left; at once when another one serves it."""
    lock = os.open(runs / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    _bound_ourselves()
    Supervisor(runs).run()


def _bound_ourselves() -> None:
    """As many machines as the system lets us listen to, and no core file: it would hold what guests said."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
