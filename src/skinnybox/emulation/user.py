"""Whom QEMU runs as."""

import os

from skinnybox.model import Instance

_FIRST_USER, _USERS = 0x7000_0000, 0x0FFF_0000


def user_of(instance: Instance) -> int | None:
    """The uid and gid of this instance alone, from a range nobody else uses; None when we may not choose."""
    return _FIRST_USER + instance.uuid.int % _USERS if os.geteuid() == 0 else None
