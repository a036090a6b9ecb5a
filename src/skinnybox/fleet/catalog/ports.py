"""Which ports of the host's loopback lead to which machine's ssh."""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from skinnybox.errors import NoSpace
from skinnybox.model.ranges import HOST_PORT, SSH_PORTS

FIRST_FOR_ALL, LAST = HOST_PORT.least, HOST_PORT.most
FIRST_SSH_PORT, LAST_SSH_PORT, PORTS_APART = SSH_PORTS.least, SSH_PORTS.most, 10


def somebody_listens(port: int) -> bool:
    """Whether a program of this host has it now: most often a machine of another state folder."""
    import socket

    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def free_ports(used: Iterable[int], folder: Path) -> Iterator[int]:
    """Ports on the host's loopback that no machine has, and no other program. NoSpace when they run out.

    Each state folder begins at another place, so that two of them on one host seldom meet: what does not
    run while a port is given cannot be seen then, and is in the way at the start.
    """
    taken = set(used)
    count = LAST_SSH_PORT - FIRST_SSH_PORT + 1
    begin = zlib.crc32(bytes(folder)) % count // PORTS_APART * PORTS_APART
    for number in range(count):
        port = FIRST_SSH_PORT + (begin + number) % count
        if port not in taken and not somebody_listens(port):
            yield port
    raise NoSpace("every ssh port of this state folder is taken", hint="use a second state folder")
