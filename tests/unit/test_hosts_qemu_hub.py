"""The console's hub: what is typed reaches the machine, also from one who goes at once."""

import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from skinnybox.hosts.qemu.watch import Hub, Loop


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
