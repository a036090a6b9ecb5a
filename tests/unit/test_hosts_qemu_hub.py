"""The console's hub: what is typed reaches the machine, also from one who goes at once."""

import socket

import pytest

from skinnybox.hosts.qemu.watch import Hub, Loop


def silent_loop() -> Loop:
    """Nobody is told that anything can be read: as when the machine's own output comes first."""
    return Loop(add=lambda *_: None, modify=lambda *_: None, drop=lambda _: None)


def test_who_types_and_goes_while_the_machine_prints_is_heard() -> None:
    hub = Hub(silent_loop())
    hub.console, machine = socket.socketpair()
    viewer, theirs = socket.socketpair()
    viewer.setblocking(False)
    with machine, hub.console:
        hub.add(viewer)
        theirs.sendall(b"poweroff -f\n")
        theirs.close()
        hub.send(b"login: ")
        machine.settimeout(5)
        assert machine.recv(100) == b"poweroff -f\n"
    assert viewer.fileno() == -1


def test_who_only_looks_and_goes_types_nothing() -> None:
    hub = Hub(silent_loop())
    hub.console, machine = socket.socketpair()
    viewer, theirs = socket.socketpair()
    viewer.setblocking(False)
    with machine, hub.console:
        hub.add(viewer)
        hub.close()
        machine.setblocking(False)
        with pytest.raises(BlockingIOError):
            machine.recv(100)
        assert theirs.recv(100) == b""
    theirs.close()
