"""Which ports of the host's loopback lead to which machine's ssh."""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from skinnybox.errors import NoSpace
from skinnybox.model.ranges import HOST_PORT, SSH_PORTS

FIRST_FOR_ALL, LAST = HOST_PORT.least, HOST_PORT.most
FIRST_SSH_PORT, LAST_SSH_PORT, PORTS_APART = SSH_PORTS.least, SSH_PORTS.most, 10
_LISTEN = "0A"
"""TCP_LISTEN of the kernel."""


def listening() -> frozenset[int]:
    """Where programs of this host listen, at any address of it: most often machines of other state folders.
    Read, and not tried with a socket, whose module is much to import for a `create`."""
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError), Path("/proc/net", table).open(encoding="ascii") as lines:
            next(lines, None)
            for line in lines:
                _, local, _, state, _ = line.split(None, 4)
                if state != _LISTEN:
                    break  # the kernel tells those that listen first; of connections there may be very many
                found.add(int(local.rpartition(":")[2], 16))
    return frozenset(found)


def free_ports(used: Iterable[int], folder: Path) -> Iterator[int]:
    """Ports on the host's loopback that no machine has, and no other program. NoSpace when they run out.

    Each state folder begins at another place, so that two of them on one host seldom meet: what does not
    run while a port is given cannot be seen then, and is in the way at the start.
    """
    taken = {*used, *listening()}
    count = LAST_SSH_PORT - FIRST_SSH_PORT + 1
    begin = zlib.crc32(bytes(folder)) % count // PORTS_APART * PORTS_APART
    for number in range(count):
        port = FIRST_SSH_PORT + (begin + number) % count
        if port not in taken:
            yield port
    raise NoSpace("every ssh port of this state folder is taken", hint="use a second state folder")
