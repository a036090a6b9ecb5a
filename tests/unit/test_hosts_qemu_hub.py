"""The console's hub: what is typed reaches the machine, also from one who goes at once. And its valve."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from skinnybox.hosts.guest_io import watch
from skinnybox.hosts.guest_io.supervisor import Supervisor
from skinnybox.hosts.guest_io.watch import Hub, Loop, Valve
from skinnybox.sizes import KIB


def silent_loop() -> Loop:
    """Nobody is told that anything can be read: as when the machine's own output comes first."""
    return Loop(add=lambda *_: None, modify=lambda *_: None, drop=lambda _: None)


class Watched(NamedTuple):
    """A hub with one viewer, and the far ends: of the machine's console, and of the viewer."""

    hub: Hub
    machine: socket.socket
    viewer: socket.socket
    theirs: socket.socket


@pytest.fixture
def watched() -> Iterator[Watched]:
    hub = Hub(silent_loop())
    hub.console, machine = socket.socketpair()
    viewer, theirs = socket.socketpair()
    viewer.setblocking(False)
    with machine, hub.console, theirs:
        hub.add(viewer)
        yield Watched(hub, machine, viewer, theirs)


def test_who_types_and_goes_while_the_machine_prints_is_heard(watched: Watched) -> None:
    watched.theirs.sendall(b"poweroff -f\n")
    watched.theirs.close()
    watched.hub.send(b"login: ")
    watched.machine.settimeout(60)
    assert watched.machine.recv(100) == b"poweroff -f\n"
    assert watched.viewer.fileno() == -1


def test_who_only_looks_and_goes_types_nothing(watched: Watched) -> None:
    watched.hub.close()
    watched.machine.setblocking(False)
    with pytest.raises(BlockingIOError):
        watched.machine.recv(100)
    assert watched.theirs.recv(100) == b""


def test_a_machine_may_end_while_it_is_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It printed more than is taken at once, and ended: then it was forgotten and called vanished."""
    supervisor, taken = Supervisor(tmp_path), list[bytes]()
    ours, machine = socket.socketpair()
    with ours, machine:
        valve = Valve(ours, supervisor._loop, taken.append)
        machine.sendall(b"x" * 60 * KIB)
        handle_all(supervisor)
        machine.close()
        handle_all(supervisor)
        monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: 1e9))
        valve.tick()
        valve.close()
    assert b"".join(taken) == b"x" * 60 * KIB and taken[-1] == b""


def handle_all(supervisor: Supervisor) -> None:
    while found := supervisor._poll.poll(0):
        for descriptor, events in found:
            supervisor._handle(descriptor, events)
