"""What systemd is told of a service of Type=notify (sd_notify(3)); without systemd nobody listens."""

import os
import socket
from contextlib import suppress


def notify(word: str) -> None:
    """READY=1, RELOADING=1 or STOPPING=1."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        abstract = address.startswith("@")
        told.sendto(word.encode(), f"\0{address[1:]}" if abstract else address)
