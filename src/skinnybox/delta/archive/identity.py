"""Who a machine that is made again is to its ssh users: by the keys in its own tree.

What lies on the disk beside that tree is in no archive. Without it the guest would make another key for its
next reset, and that would lock out who was told of the first (guest/lib/identity.sh).
"""

from pathlib import Path
from uuid import UUID

from skinnybox import wire
from skinnybox.delta.content import of_overlay
from skinnybox.overlays.template import IDENTITY_CAPACITY
from skinnybox.wire import Line

_HOST_KEY = "ssh_host_ed25519_key"
_MOST = 8 << 10


def identity_of(disk: Path, instance: UUID) -> bytes:
    """The message, of a clean disk; b"" where it has no such keys: then its guest makes some. Corrupt."""
    lines = [Line("instance", str(instance))]
    for name in (_HOST_KEY, f"{_HOST_KEY}.pub"):
        found = of_overlay(disk, b"etc/ssh/" + name.encode(), _MOST)
        if found is None or found.type != "-" or not 0 < found.size == len(found.data):
            return b""
        lines.append(Line("ssh-host-key", name, found.data))
    message = wire.encode("identity", 1, lines)
    return message if len(message) <= IDENTITY_CAPACITY else b""
